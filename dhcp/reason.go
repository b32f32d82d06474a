package dhcp

// Reason is the stable code of why something was decided. Codes are never renamed; new ones may be added.
type Reason string

// Why an address was offered or leased.
const (
	ReasonReserved      Reason = "reserved"          // a reservation names this client
	ReasonCurrent       Reason = "current-binding"   // the client holds it now
	ReasonPrevious      Reason = "previous-binding"  // the client held it before, and it is still free
	ReasonRequested     Reason = "requested-address" // the client asked for it in option 50
	ReasonNew           Reason = "new-address"       // the first that was never given out
	ReasonReused        Reason = "reused-address"    // the one that has been free for longest
	ReasonSameOffer     Reason = "repeated-offer"    // the same offer as before, which still stands
	ReasonSelecting     Reason = "selecting"         // REQUEST for our offer
	ReasonInitReboot    Reason = "init-reboot"       // REQUEST after a reboot, for the right address
	ReasonRenewing      Reason = "renewing"          // REQUEST to us alone, to extend the lease
	ReasonRebinding     Reason = "rebinding"         // REQUEST to anybody, to extend the lease
	ReasonRetransmitted Reason = "retransmitted"     // a REQUEST that was answered before
	ReasonRapidCommit   Reason = "rapid-commit"      // DISCOVER with option 80 (RFC 4039)
	ReasonInform        Reason = "inform"            // options without an address
)

// Why a NAK was sent.
const (
	ReasonWrongNetwork Reason = "wrong-network"   // the address is not of this network
	ReasonWrongAddress Reason = "wrong-address"   // the client has, or was offered, another address
	ReasonTaken        Reason = "taken"           // the address is another client's
	ReasonUnknown      Reason = "unknown-binding" // no record of the client, and the server is authoritative
	ReasonNotServed    Reason = "not-served"      // of this network, but not given out by this server
)

// Why a message was not answered.
const (
	ReasonMalformed      Reason = "malformed"        // it is not a DHCP message; Detail says what is wrong
	ReasonNotRequest     Reason = "not-a-request"    // op is not BOOTREQUEST, or the type is one that servers send
	ReasonTooManyHops    Reason = "too-many-hops"    // over 16 relays
	ReasonNoSubnet       Reason = "no-subnet"        // nothing is configured for where it came from
	ReasonPoolFull       Reason = "pool-full"        // no address is left
	ReasonOtherServer    Reason = "other-server"     // the client chose, or speaks to, another server
	ReasonNoRecord       Reason = "no-record"        // an unknown client asks for its old address; not authoritative
	ReasonNotOwner       Reason = "not-owner"        // RELEASE or DECLINE by a client that does not hold the address
	ReasonBadRequest     Reason = "bad-request"      // fields contradict RFC 2131 table 5; Detail says which
	ReasonProbing        Reason = "probing"          // the address is being probed; the answer will follow
	ReasonStopping       Reason = "stopping"         // the server ended while the address was being probed
	ReasonIPv6Only       Reason = "ipv6-only"        // answered with option 108 and no address (RFC 8925)
	ReasonSilenced       Reason = "silenced"         // the interface was silenced; Detail says why
	ReasonFault          Reason = "fault"            // a teaching fault struck; Detail names it
	ReasonNotDurable     Reason = "not-durable"      // the lease could not be written, so no ACK
	ReasonSendError      Reason = "send-error"       // the kernel refused the frame
	ReasonBadChecksum    Reason = "bad-checksum"     // IP or UDP
	ReasonFragment       Reason = "fragment"         // it came in several IP packets, which are not put together
	ReasonOverloaded     Reason = "overloaded"       // too many probes at once
	ReasonReleased       Reason = "released"         // RELEASE by the owner
	ReasonDeclined       Reason = "declined"         // DECLINE by the owner; the address is in quarantine
	ReasonSent           Reason = "sent"             // the reply left
	ReasonOfferFreed     Reason = "offer-freed"      // the client chose another server; our offer is free again
	ReasonConflict       Reason = "conflict"         // the probe was answered; the address is in quarantine
	ReasonSharedClientID Reason = "shared-client-id" // two stations use one client identifier
	ReasonStoreFailed    Reason = "store-failed"     // leases cannot be made durable
	ReasonStoreBack      Reason = "store-recovered"  // and now they can again
	ReasonUnsilenced     Reason = "unsilenced"       // the interface is served again
	ReasonFaultSet       Reason = "fault-set"        // a teaching fault shows from now on
	ReasonFaultCleared   Reason = "fault-cleared"    // and this one no more
	ReasonStoreDamaged   Reason = "store-damaged"    // part of the journal was unreadable at start
	ReasonNoRoom         Reason = "no-room"          // options did not fit into what the client takes (option 57)
	ReasonInterfaceDown  Reason = "interface-down"   // the interface is down; nothing arrives until it is up
	ReasonInterfaceUp    Reason = "interface-up"     // and now it is up again
	ReasonInterfaceGone  Reason = "interface-gone"   // the interface was deleted; nothing is answered there any more
)
