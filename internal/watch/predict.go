package watch

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// PredictField is a field of a packet that a student is asked for.
type PredictField string

// The fields.
const (
	PredictType     PredictField = "type"
	PredictMAC      PredictField = "dst_mac"
	PredictIP       PredictField = "dst_ip"
	PredictPort     PredictField = "dst_port"
	PredictServer   PredictField = "server_id"
	PredictOffered  PredictField = "offered"
	broadcastMAC                 = "ff:ff:ff:ff:ff:ff"
	broadcastIPText              = "255.255.255.255"
)

// PredictFields are all of them.
func PredictFields() []PredictField {
	return []PredictField{PredictType, PredictMAC, PredictIP, PredictPort, PredictServer, PredictOffered}
}

// Answer is what a student said of a field, and what the packet says.
type Answer struct {
	Field  PredictField `json:"field"`
	Answer string       `json:"answer"`
	Truth  string       `json:"truth"`
	Right  bool         `json:"right"`
	Why    string       `json:"why"` // in the user's language
}

// asked are the fields that each message is asked for, when nothing else is said.
var asked = map[capture.MessageType][]PredictField{
	capture.Discover: {PredictMAC, PredictIP, PredictPort},
	capture.Offer:    {PredictType, PredictMAC, PredictOffered},
	capture.Request:  {PredictMAC, PredictIP, PredictServer},
	capture.Ack:      {PredictType, PredictIP, PredictPort},
}

// Questions are the fields to ask for before a packet is shown: none for what is no DHCP message.
func (r *Record) Questions() []PredictField {
	if r.DHCP == nil || r.IP == nil || r.UDP == nil || r.Stations == nil {
		return nil
	}
	fields := asked[r.DHCP.Type]
	if fields == nil {
		fields = []PredictField{PredictType, PredictMAC, PredictIP}
	}
	return slices.DeleteFunc(slices.Clone(fields), func(f PredictField) bool { return r.Truth(f) == "" })
}

// Truth is what the packet says of a field, "" when it has no such field.
func (r *Record) Truth(field PredictField) string {
	if r.DHCP == nil || r.IP == nil || r.UDP == nil {
		return ""
	}
	switch field {
	case PredictType:
		return r.DHCP.Type.String()
	case PredictMAC:
		return r.To().String() // "" where the capture does not tell it
	case PredictIP:
		return r.IP.Destination.String()
	case PredictPort:
		return strconv.Itoa(int(r.UDP.DestinationPort))
	case PredictServer:
		if address, ok := r.DHCP.Addr(54); ok {
			return address.String()
		}
	case PredictOffered:
		if r.DHCP.Op == 2 && !r.DHCP.YIAddr.IsUnspecified() {
			return r.DHCP.YIAddr.String()
		}
	}
	return ""
}

// Judge compares an answer with the packet. Answers may be written as people write them: aa-bb-…, broadcast or
// difusión, dhcpoffer, bootps.
func (r *Record) Judge(field PredictField, answer string, say Speaker) Answer {
	truth := r.Truth(field)
	given := strings.ToLower(strings.TrimSpace(answer))
	right := false
	switch field {
	case PredictType:
		right = sameType(given, r.DHCP.Type)
	case PredictMAC:
		right = plainMAC(given) == plainMAC(truth) || (given != "" && strings.EqualFold(given, r.Stations.Destination))
	case PredictPort:
		right = plainPort(given) == truth
	case PredictIP, PredictServer, PredictOffered:
		right = plainIP(given) == truth
	}
	return Answer{Field: field, Answer: strings.TrimSpace(answer), Truth: truth, Right: right && given != "", Why: r.why(field, say)}
}

// broadcastWords are what people call both broadcast addresses.
var broadcastWords = []string{
	"broadcast", "difusión", "difusion", "difusió", "difusio", "everybody", "everyone", "all", "todos", "tots", "tothom",
}

func plainMAC(text string) string {
	if slices.Contains(broadcastWords, text) {
		text = broadcastMAC
	}
	return strings.NewReplacer(":", "", "-", "", ".", "", " ", "").Replace(text)
}

func plainIP(text string) string {
	if slices.Contains(broadcastWords, text) {
		return broadcastIPText
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return text
	}
	return address.String()
}

func plainPort(text string) string {
	switch strings.TrimSpace(strings.Trim(strings.ReplaceAll(text, "udp", ""), "/ ")) {
	case "67", "bootps", "dhcps", "server", "servidor":
		return "67"
	case "68", "bootpc", "dhcpc", "client", "cliente":
		return "68"
	}
	return strings.TrimSpace(strings.Trim(strings.ReplaceAll(text, "udp", ""), "/ "))
}

func sameType(text string, want capture.MessageType) bool {
	text = strings.TrimLeft(strings.TrimPrefix(text, "dhcp"), " -_")
	if text == "nack" {
		text = "nak"
	}
	return strings.EqualFold(text, want.String()) || text == strconv.Itoa(int(want))
}

// why says why a field is as it is in this packet.
func (r *Record) why(field PredictField, say Speaker) string {
	toServer, client := r.DHCP.Op == 1, r.client
	switch field {
	case PredictType:
		if topic, ok := r.topic(); ok {
			return say.T(topic.Message)
		}
	case PredictMAC:
		if r.Broadcast() {
			return say.T("watch.predict.why.mac-broadcast")
		}
		return say.T("watch.predict.why.mac-unicast", "station", r.Stations.Destination)
	case PredictIP:
		switch broadcast := r.IP.Destination == broadcastIP; {
		case toServer && broadcast:
			return say.T("watch.predict.why.ip-from-client")
		case toServer:
			return say.T("watch.predict.why.ip-renewal")
		case r.DHCP.Broadcast:
			return say.T("watch.predict.why.ip-flag", "client", client)
		case broadcast:
			return say.T("watch.predict.why.ip-server-choice", "client", client)
		default:
			return say.T("watch.predict.why.ip-to-client", "client", client)
		}
	case PredictPort:
		if toServer {
			return say.T("watch.predict.why.port-server")
		}
		return say.T("watch.predict.why.port-client")
	case PredictServer:
		return say.T("watch.predict.why.server")
	case PredictOffered:
		return say.T("watch.predict.why.offered")
	}
	return ""
}

// Predictions are answers that were written beforehand, by the packet's number.
type Predictions map[int]map[PredictField]string

// ReadPredictions reads lines of PACKET FIELD ANSWER. Empty lines and those that begin with # are skipped.
func ReadPredictions(in io.Reader) (Predictions, error) {
	out := Predictions{}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		number, err := strconv.Atoi(words[0])
		if err != nil || number < 1 || len(words) < 2 {
			return nil, fmt.Errorf("line %d: PACKET FIELD ANSWER was expected, not %q", n, line)
		}
		field := PredictField(strings.ToLower(words[1]))
		if !slices.Contains(PredictFields(), field) {
			return nil, fmt.Errorf("line %d: there is no field %q; the fields are: %v", n, words[1], PredictFields())
		}
		if out[number] == nil {
			out[number] = map[PredictField]string{}
		}
		out[number][field] = strings.Join(words[2:], " ")
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read answers: %w", err)
	}
	return out, nil
}
