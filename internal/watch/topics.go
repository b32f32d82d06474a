package watch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// Topic is something of the wire that `kvmlab explain` and the ladder's key e explain.
type Topic struct {
	Name    string   // what it is asked for by: "offer", "option 54"
	Message string   // the catalogue's text
	Words   []string // other names
	Keys    []string // the fields of a packet that it is about
}

// Topics are all topics, in the order in which they are listed.
func Topics() []Topic {
	return slices.Concat(messageTopics(), fieldTopics(), optionTopics(), stateTopics(), conceptTopics())
}

// messageTopics are the DHCP messages.
func messageTopics() []Topic {
	return []Topic{
		{"discover", "topic.discover", []string{"dhcpdiscover"}, nil},
		{"offer", "topic.offer", []string{"dhcpoffer"}, nil},
		{"request", "topic.request", []string{"dhcprequest"}, nil},
		{"ack", "topic.ack", []string{"dhcpack"}, nil},
		{"nak", "topic.nak", []string{"dhcpnak", "nack"}, nil},
		{"decline", "topic.decline", []string{"dhcpdecline"}, nil},
		{"release", "topic.release", []string{"dhcprelease"}, nil},
		{"inform", "topic.inform", []string{"dhcpinform"}, nil},
	}
}

// fieldTopics are the fields of the four layers.
func fieldTopics() []Topic {
	return []Topic{
		{"mac", "topic.mac", []string{"mac address", "l2 source", "link source"}, []string{"eth.src"}},
		{"l2 destination", "topic.l2-destination", []string{"link destination", "destination mac"}, []string{"eth.dst"}},
		{"ethertype", "topic.ethertype", []string{"type"}, []string{"eth.type"}},
		{"vlan", "topic.vlan", []string{"802.1q"}, []string{"eth.vlan"}},
		{"l3 source", "topic.l3-source", []string{"ip source", "0.0.0.0"}, []string{"ip.src"}},
		{"l3 destination", "topic.l3-destination", []string{"ip destination", "255.255.255.255"}, []string{"ip.dst"}},
		{"ttl", "topic.ttl", nil, []string{"ip.ttl"}},
		{"ports", "topic.ports", []string{"port", "67", "68", "port 67", "port 68"}, []string{"udp.sport", "udp.dport"}},
		{"checksum", "topic.checksum", nil, []string{"udp.checksum"}},
		{"op", "topic.op", nil, []string{"dhcp.op"}},
		{"htype", "topic.htype", []string{"hlen"}, []string{"dhcp.htype", "dhcp.hlen"}},
		{"hops", "topic.hops", nil, []string{"dhcp.hops"}},
		{"xid", "topic.xid", []string{"transaction"}, []string{"dhcp.xid"}},
		{"secs", "topic.secs", nil, []string{"dhcp.secs"}},
		{"flags", "topic.flags", []string{"broadcast flag"}, []string{"dhcp.flags"}},
		{"ciaddr", "topic.ciaddr", nil, []string{"dhcp.ciaddr"}},
		{"yiaddr", "topic.yiaddr", nil, []string{"dhcp.yiaddr"}},
		{"siaddr", "topic.siaddr", []string{"sname", "file"}, []string{"dhcp.siaddr", "dhcp.sname", "dhcp.file"}},
		{"giaddr", "topic.giaddr", nil, []string{"dhcp.giaddr"}},
		{"chaddr", "topic.chaddr", nil, []string{"dhcp.chaddr"}},
	}
}

// optionTopics are the options that classes look at.
func optionTopics() []Topic {
	return []Topic{
		option(1, "topic.option-1", "mask", "subnet mask"),
		option(3, "topic.option-3", "router", "gateway"),
		option(6, "topic.option-6", "dns", "domain name server"),
		option(12, "topic.option-12", "host name", "hostname"),
		option(15, "topic.option-15", "domain name"),
		option(28, "topic.option-28", "broadcast address"),
		option(50, "topic.option-50", "requested address", "requested ip address"),
		option(51, "topic.option-51", "lease time"),
		option(52, "topic.option-52", "overload"),
		option(53, "topic.option-53", "message type"),
		option(54, "topic.option-54", "server identifier", "server id"),
		option(55, "topic.option-55", "parameter request list"),
		option(56, "topic.option-56", "message"),
		option(57, "topic.option-57", "maximum message size"),
		option(58, "topic.option-58", "renewal time"),
		option(59, "topic.option-59", "rebinding time"),
		option(60, "topic.option-60", "vendor class"),
		option(61, "topic.option-61", "client identifier", "client id"),
		option(82, "topic.option-82", "relay agent information"),
		option(121, "topic.option-121", "classless static route"),
	}
}

// stateTopics are the client's states (RFC 2131 figure 5) and what they hang on.
func stateTopics() []Topic {
	return []Topic{
		{"init", "topic.init", nil, nil},
		{"selecting", "topic.selecting", nil, nil},
		{"requesting", "topic.requesting", nil, nil},
		{"bound", "topic.bound", nil, nil},
		{"renewing", "topic.renewing", []string{"renew"}, nil},
		{"rebinding", "topic.rebinding", []string{"rebind"}, nil},
		{"init-reboot", "topic.init-reboot", []string{"rebooting", "reboot"}, nil},
		{"t1", "topic.t1", nil, nil},
		{"t2", "topic.t2", nil, nil},
		{"lease", "topic.lease", nil, nil},
	}
}

// conceptTopics are what one has to know beside DHCP.
func conceptTopics() []Topic {
	return []Topic{
		{"broadcast", "topic.broadcast", []string{"link broadcast", "ip broadcast"}, nil},
		{"unicast", "topic.unicast", nil, nil},
		{"arp", "topic.arp", []string{"arp request", "arp reply"}, []string{
			"arp.op", "arp.sender_mac", "arp.sender_ip", "arp.target_mac", "arp.target_ip",
		}},
		{"arp probe", "topic.arp-probe", []string{"probe"}, nil},
		{"arp announcement", "topic.arp-announcement", []string{"announcement", "gratuitous arp"}, nil},
		{"icmp", "topic.icmp", []string{"ping", "echo"}, []string{"icmp.type", "icmp.code", "icmp.id", "icmp.seq"}},
		{"fragment", "topic.fragment", []string{"fragmentation", "fragment offset"}, []string{"ip.fragment_offset"}},
		{"relay", "topic.relay", nil, nil},
		{"bridge", "topic.bridge", nil, nil},
		{"tap", "topic.tap", nil, nil},
		{"socket", "topic.socket", []string{"sockets"}, nil},
		{"udp socket", "topic.socket-udp", []string{"udp"}, nil},
		{"raw socket", "topic.socket-raw", []string{"packet socket", "af_packet"}, nil},
		{"unix socket", "topic.socket-unix", []string{"af_unix"}, nil},
		{"daemon", "topic.daemon", []string{"daemons", "service"}, nil},
	}
}

// option is the topic of a DHCP option.
func option(code int, message string, words ...string) Topic {
	return Topic{fmt.Sprintf("option %d", code), message, words, []string{fmt.Sprintf("dhcp.options.%d", code)}}
}

// FindTopic finds a topic by its name or another word for it, in any case.
func FindTopic(words string) (Topic, bool) {
	wanted := strings.Join(strings.Fields(strings.ToLower(words)), " ")
	for _, topic := range Topics() {
		if topic.Name == wanted || slices.Contains(topic.Words, wanted) {
			return topic, true
		}
	}
	return Topic{}, false
}

// TopicOf finds what explains a field.
func TopicOf(field capture.Field) (Topic, bool) {
	for _, topic := range Topics() {
		if slices.Contains(topic.Keys, field.Key) {
			return topic, true
		}
	}
	return Topic{}, false
}

// topic is what a packet as a whole is about.
func (r *Record) topic() (Topic, bool) {
	switch {
	case r.DHCP != nil:
		return FindTopic(r.DHCP.Type.String())
	case r.ARP != nil && r.ARP.Kind == capture.ARPProbe:
		return FindTopic("arp probe")
	case r.ARP != nil && r.ARP.Kind == capture.ARPAnnouncement:
		return FindTopic("arp announcement")
	case r.ARP != nil:
		return FindTopic("arp")
	case r.ICMP != nil:
		return FindTopic("icmp")
	}
	return Topic{}, false
}
