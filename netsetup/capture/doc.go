// Package capture sees what is on a wire: it reads frames from a link ([Source]) or from a pcap or pcapng file
// ([Reader]), decodes them ([Decode]), and writes pcapng files that Wireshark opens ([Writer]).
//
// Decoding is pure and never fails: a frame that is not what it says it is gives a [Packet] with the part that could
// be read and the reason why the rest could not ([Packet.Malformed]). A [Reassembler] does the same for frame after
// frame and puts fragments together. What was not on the wire is absent from the
// Packet, never filled in.
//
// Neither libpcap nor cgo is used. Filters are a subset of the pcap-filter language ([CompileFilter]).
package capture
