package vm

import "time"

// readTSC is the CPU's time stamp counter (RDTSC). QEMU's TCG hands the same
// counter to its guests.
func readTSC() uint64

// measureTSC measures the counter's frequency in kHz against the monotonic
// clock for about 20 ms, without sleeping: a slice long enough that reading the
// clock (some 50 ns) is an error of a few parts in a million.
func measureTSC() uint64 {
	const slice = 20 * time.Millisecond
	start, first := time.Now(), readTSC()
	for time.Since(start) < slice {
		continue
	}
	last, elapsed := readTSC(), time.Since(start)
	return (last - first) * uint64(time.Millisecond) / uint64(elapsed)
}
