package check

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/kvmlab/kvmlab/internal/watch"
)

// cardField is the field of a question about a card, and not about a message: its MAC address.
const cardField = "mac"

// answerFields are the fields that a question can be about: those of `kvmlab watch --predict`, the sender's, and what a
// relay has written.
func answerFields() []string {
	var names []string
	for _, f := range watch.PredictFields() {
		names = append(names, string(f))
	}
	return append(names, "src_mac", "src_ip", "giaddr", cardField)
}

// tryAnswer compares what the student typed with the newest message of that type in the lab's own capture.
func tryAnswer(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	given, ok := e.answers[e.check.ID.Value]
	if !ok {
		v, err := failed("not-answered", "id", e.check.ID.Value)
		v.Final = true
		return v, err
	}
	right, packet, err := e.truth(ctx, a, given)
	if err != nil || right {
		return Verdict{Passed: right, Packet: packet}, err
	}
	v, err := failed("wrong-answer", "answer", given)
	v.Final, v.Packet = true, packet
	return v, err
}

// truth judges an answer.
func (e *scene) truth(ctx context.Context, a *Assertion, given string) (right bool, packet int, err error) {
	if a.Value.Set {
		return sameText(given, a.Value.Value), 0, nil
	}
	if a.Field.Value == cardField {
		mac := e.nic(a).MAC
		return sameMAC(given, mac[:]), 0, nil
	}
	r, err := e.asked(ctx, a)
	if r == nil || err != nil {
		return false, 0, err
	}
	switch a.Field.Value {
	case "src_mac":
		return sameMAC(given, r.Ethernet.Source), r.Number, nil
	case "src_ip", "giaddr":
		address, err := netip.ParseAddr(strings.TrimSpace(given))
		return err == nil && address == addressIn(r, a.Field.Value), r.Number, nil
	}
	return r.Judge(watch.PredictField(a.Field.Value), given, silent{}).Right, r.Number, nil
}

// asked is the packet that a question is about, nil when there is none yet.
func (e *scene) asked(ctx context.Context, a *Assertion) (*watch.Record, error) {
	if a.At.Set {
		r, _, err := e.moment(ctx, a)
		return r, err
	}
	records, err := e.wire(ctx)
	for _, r := range slices.Backward(dhcpOf(records, e.nic(a))) {
		// The client's own copy, which no relay has written into yet, may be the newest.
		unwritten := a.Field.Value == "giaddr" && r.DHCP.GIAddr.IsUnspecified()
		if r.DHCP.Type == messageType(a.Type.Value) && a.by(r) && !unwritten {
			return r, err
		}
	}
	return nil, err
}

// rightAnswer is what a student would have to type, "" when the packet is not there.
func (e *scene) rightAnswer(ctx context.Context, a *Assertion) (string, error) {
	if a.Value.Set {
		return a.Value.Value, nil
	}
	if a.Field.Value == cardField {
		return e.nic(a).MAC.String(), nil
	}
	r, err := e.asked(ctx, a)
	if r == nil || err != nil {
		return "", err
	}
	switch a.Field.Value {
	case "src_mac":
		return r.Ethernet.Source.String(), nil
	case "src_ip", "giaddr":
		return addressIn(r, a.Field.Value).String(), nil
	}
	return r.Truth(watch.PredictField(a.Field.Value)), nil
}

// sameMAC compares a MAC address as people write them: with colons, dashes or dots, in small letters or capitals.
func sameMAC(given string, mac []byte) bool {
	read, err := net.ParseMAC(strings.TrimSpace(given))
	return err == nil && slices.Equal(read, mac)
}

// addressIn is the sender's address of a packet, or what a relay has written into it.
func addressIn(r *watch.Record, field string) netip.Addr {
	if field == "giaddr" {
		return r.DHCP.GIAddr
	}
	return r.IP.Source
}

// sameText compares words as people write them: case, spaces and a full stop do not matter.
func sameText(a, b string) bool {
	plain := func(s string) string { return strings.Trim(strings.Join(strings.Fields(s), " "), ". ") }
	return strings.EqualFold(plain(a), plain(b))
}

// silent explains nothing: only the verdict is wanted.
type silent struct{}

// T implements watch.Speaker.
func (silent) T(string, ...any) string { return "" }

// Phrase implements watch.Speaker.
func (silent) Phrase(string) string { return "" }
