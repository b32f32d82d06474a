//go:build !amd64

package vm

// measureTSC is 0: the counter, and the guests that want to know of it, are
// x86's.
func measureTSC() uint64 { return 0 }
