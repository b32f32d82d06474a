// Package dhcp is a DHCPv4 server: RFC 2131, RFC 2132 and the later RFCs that docs/dhcp-conformance.md lists.
//
// It has three layers, and each can be used by itself:
//
//   - [Handle] is the server's judgement. It is pure: it reads no clock, opens no socket and starts no goroutine,
//     so it can be fuzzed and checked against a model. What it may change is the [Table] it is given.
//   - The store keeps leases over a power cut. An ACK leaves only after its lease is on the disk; concurrent
//     exchanges share one fdatasync.
//   - [Server] is the listener: raw frames, because a client that asks for an address has none yet.
//
// Everything that is decided comes out as an [Event] that carries a stable reason and a sentence for people.
package dhcp
