// Package state keeps what kvmlab writes to disk: where each file is, who may touch a lab now (locks), what was
// begun and finished (the journal), and the lab as it was resolved.
//
// Nothing here is needed to find a lab's objects again: those carry their own marks. State only adds what the
// kernel and libvirt cannot tell, so that losing it costs comfort and never a clean host.
package state
