// Package watch makes sense of captured packets for people: who the stations are, which exchange a packet belongs to,
// what state each client is in by all that was seen, and how that looks as a sentence, as JSON and as a ladder diagram.
//
// It is pure: packets and keys come in, text comes out. Reading files and sockets, and drawing on a terminal, are its
// callers' work.
package watch
