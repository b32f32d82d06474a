package dhcp

import "fmt"

// Text returns one English sentence that says what was decided and why.
func (e Event) Text() string {
	switch e.Decision {
	case DecisionOffer:
		return e.offerText()
	case DecisionAck:
		return e.ackText()
	case DecisionNak:
		return e.nakText()
	case DecisionIgnore:
		return "ignored: " + e.ignoreText()
	case DecisionSent:
		return e.sentText()
	case DecisionNotSent:
		return fmt.Sprintf("%v not sent: %s", e.Type, e.whyNotSent())
	default:
		return e.noteText()
	}
}

// sentences are the reasons that need no more than an address in them.
var sentences = map[Reason]string{
	ReasonReserved:      "it is reserved for this client",
	ReasonCurrent:       "the client holds it now",
	ReasonPrevious:      "the client had it before, and it is still free",
	ReasonRequested:     "the client asked for it, and it is free",
	ReasonNew:           "it has not been given out before",
	ReasonReused:        "it has been free for longest",
	ReasonSameOffer:     "it was offered to this client before, and the offer still stands",
	ReasonSelecting:     "the client chose our offer",
	ReasonInitReboot:    "the client remembers its address rightly",
	ReasonRenewing:      "the client renews its lease",
	ReasonRebinding:     "the client asks any server to extend its lease",
	ReasonRetransmitted: "the same REQUEST was acknowledged before",
	ReasonRapidCommit:   "client and server agree on rapid commit",
	ReasonTooManyHops:   "it passed more than 16 relays",
	ReasonNoSubnet:      "no subnet is configured for where it came from",
	ReasonPoolFull:      "no address is left in the pool",
	ReasonBadChecksum:   "its checksum is wrong",
	ReasonFragment:      "it came in fragments, which this server does not put together",
	ReasonOverloaded:    "too many addresses are being probed",
	ReasonStopping:      "the server ended while its address was being probed",
	ReasonNotDurable:    "its lease could not be written to disk",
}

func (e Event) offerText() string {
	switch e.Reason {
	case ReasonIPv6Only:
		return "offer without an address: none is left, but the client can do with IPv6 alone"
	case ReasonPoolFull:
		return "offer without an address: none is left, and the client must not make one up"
	default:
		return fmt.Sprintf("offer %v for %v: %s", e.Address, e.Lease, sentences[e.Reason])
	}
}

func (e Event) ackText() string {
	if e.Reason == ReasonInform {
		return fmt.Sprintf("configuration for %v, which has its address from elsewhere", e.Address)
	}
	return fmt.Sprintf("lease %v for %v: %s", e.Address, e.Lease, sentences[e.Reason])
}

func (e Event) nakText() string {
	switch e.Reason {
	case ReasonWrongNetwork:
		return fmt.Sprintf("%v is not on this network", e.Address)
	case ReasonNotServed:
		return fmt.Sprintf("%v is not lent to this client, or not any more", e.Address)
	case ReasonWrongAddress:
		if e.Other.IsValid() {
			return fmt.Sprintf("%v is not this client's address; %v is", e.Address, e.Other)
		}
		return fmt.Sprintf("%v is not given out to this client", e.Address)
	case ReasonTaken:
		return fmt.Sprintf("%v is another client's, or out of use because somebody else has it", e.Address)
	case ReasonUnknown:
		return fmt.Sprintf("no lease of %v is known", e.Address)
	case ReasonFault:
		return fmt.Sprintf("%v is refused because of the teaching fault %q", e.Address, e.Detail)
	default:
		return fmt.Sprintf("%v: %s", e.Address, e.Reason)
	}
}

func (e Event) ignoreText() string {
	switch e.Reason {
	case ReasonMalformed:
		return "not a DHCP message: " + e.Detail
	case ReasonNotRequest:
		return "not from a client: " + e.Detail
	case ReasonBadRequest:
		return fmt.Sprintf("%v is incomplete: %s", e.Type, e.Detail)
	case ReasonOtherServer:
		return fmt.Sprintf("it is for the server %v", e.Other)
	case ReasonNoRecord:
		return fmt.Sprintf("nothing is known of this client and %v; another server may know", e.Address)
	case ReasonNotOwner:
		return fmt.Sprintf("%v is not this client's address", e.Address)
	case ReasonWrongNetwork:
		return fmt.Sprintf("%v is not on this network", e.Address)
	case ReasonProbing:
		return "its address is being probed; the answer will follow"
	case ReasonSilenced:
		return "the interface is silent: " + e.Detail
	case ReasonFault:
		return fmt.Sprintf("the teaching fault %q struck", e.Detail)
	default:
		return sentences[e.Reason]
	}
}

func (e Event) sentText() string {
	switch {
	case e.Type == Nak:
		return fmt.Sprintf("NAK for %v sent", e.Address)
	case e.Lease > 0:
		return fmt.Sprintf("%v of %v for %v sent", e.Type, e.Address, e.Lease)
	case e.Address.IsValid():
		return fmt.Sprintf("%v to %v sent", e.Type, e.Address)
	default:
		return fmt.Sprintf("%v without an address sent", e.Type)
	}
}

func (e Event) whyNotSent() string {
	switch e.Reason {
	case ReasonSendError:
		return e.Detail
	case ReasonSilenced:
		return "the interface is silent: " + e.Detail
	case ReasonFault:
		return fmt.Sprintf("the teaching fault %q struck", e.Detail)
	default:
		return sentences[e.Reason]
	}
}

// noteText is for what stands beside a message, or comes without one.
func (e Event) noteText() string {
	switch e.Reason {
	case ReasonReleased:
		return fmt.Sprintf("%v is free again: its client gave it back", e.Address)
	case ReasonDeclined:
		return fmt.Sprintf("%v is out of use for %v: its client found somebody else there", e.Address, e.Lease)
	case ReasonConflict:
		return fmt.Sprintf("%v is out of use for %v: %v answered when it was probed", e.Address, e.Lease, e.OtherMAC)
	case ReasonOfferFreed:
		return fmt.Sprintf("%v is free again: the client chose the server %v", e.Address, e.Other)
	case ReasonSharedClientID:
		return fmt.Sprintf("%v uses the client identifier of %v, which holds %v; if both are up, they were cloned "+
			"from one image and will fight over the address", e.MAC, e.OtherMAC, e.Address)
	case ReasonStoreFailed:
		return "no lease is acknowledged: leases cannot be written to disk: " + e.Detail
	case ReasonStoreBack:
		return "leases are written to disk again"
	case ReasonStoreDamaged:
		return "the lease journal is damaged: " + e.Detail
	case ReasonNoRoom:
		return e.Detail + " found no room in the reply: the client takes no larger one (option 57)"
	case ReasonInterfaceDown:
		return "the interface is down: nothing arrives until it is up"
	case ReasonInterfaceUp:
		return "the interface is up again"
	case ReasonInterfaceGone:
		return "the interface is gone: nothing is answered there any more"
	case ReasonSilenced:
		return "the interface falls silent: " + e.Detail
	case ReasonUnsilenced:
		return "the interface is served again"
	case ReasonFault:
		return fmt.Sprintf("the teaching fault %q struck", e.Detail)
	case ReasonFaultSet:
		return fmt.Sprintf("the teaching fault %q is set", e.Detail)
	case ReasonFaultCleared:
		return fmt.Sprintf("the teaching fault %q is cleared", e.Detail)
	default:
		return string(e.Reason)
	}
}
