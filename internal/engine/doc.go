// Package engine brings a lab up and takes it down.
//
// Up reads what exists from the kernel and from libvirt, compares it with what the lab asks for, and makes a [Plan]:
// an ordered list of changes, each with the command that a student would type for it. Applying the plan writes
// every change to the journal before it starts and after it ends. When one fails, or the caller gives up, the changes
// of that run are taken back in reverse order. Running Up again finds nothing to do, or mends what is missing.
//
// Down removes everything that carries the lab's mark and everything that the journal says was begun, in reverse
// order, and goes on after an error. Objects without the lab's mark are never changed, whatever their name.
//
// The engine prints nothing: it reports to a sink, and its errors are diagnostics around their typed causes.
package engine
