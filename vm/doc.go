// Package vm runs a lab's guests on libvirt.
//
// A [Domain] says what a guest is; [Domain.XML] renders it. A [Conn] defines,
// starts, observes and removes domains, opens their consoles, hands each guest
// its identity and follows libvirt's lifecycle events.
//
// Two rules hold throughout. Ownership lives on the object: every domain that
// this package defines carries a <metadata> element in kvmlab's own XML
// namespace, and a domain without it is never changed (ErrForeign). And every
// call ends with its context: go-libvirt's calls take none, so a call that
// outlives its context has its connection dropped under it, and the next call
// dials anew.
//
// The package speaks to a libvirt on the same host only, because the taps, the
// console logs and the images are files and links of that host.
package vm
