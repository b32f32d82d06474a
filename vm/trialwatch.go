package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// vitals are the signs of life of a trial's guest while it boots.
type vitals struct {
	pid     atomic.Int64 // of its QEMU; zero before and after
	printed atomic.Int64 // bytes on its console
}

// Write counts what the console prints.
func (v *vitals) Write(text []byte) (int, error) {
	v.printed.Add(int64(len(text)))
	return len(text), nil
}

// stalledError is a guest that came no further although it could have.
type stalledError struct {
	silent time.Duration
	spoke  bool // it had printed something before
}

func (e *stalledError) Error() string {
	silent := e.silent.Round(100 * time.Millisecond)
	if e.spoke {
		return fmt.Sprintf("the guest came no further in %v of running", silent)
	}
	return fmt.Sprintf("the guest did nothing in %v of running", silent)
}

// silenceLimit is for how long a guest under KVM may run and print nothing. measure is the processor time of a whole boot
// without KVM, zero while that is not known. A guest that is given that much and has not executed the instructions that
// print its first line never will; one that has printed comes further, if slowly, and gets more.
func silenceLimit(spoke bool, measure time.Duration) time.Duration {
	const unmeasured, shortest = time.Minute, time.Second
	switch {
	case measure == 0:
		return unmeasured
	case spoke:
		return max(5*shortest, 5*measure)
	default:
		return max(shortest, measure)
	}
}

// watchEvery is how often a trial is looked at.
const watchEvery = 50 * time.Millisecond

// watch gives a guest up that has come no further for as long as it may. Counted is the time in which it ran, or could have:
// a guest that waits for a processor, on a busy host, is not to blame; one that sleeps for ever is.
func (v *vitals) watch(ctx context.Context, measure *yardstick, giveUp context.CancelCauseFunc) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var silent time.Duration
	var printed int64
	before, seen := time.Now(), usage{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		pid := int(v.pid.Load())
		if pid == 0 {
			before = time.Now()
			continue
		}
		now, used := time.Now(), usageOf(pid)
		ran, waited := max(0, used.ran-seen.ran), max(0, used.waited-seen.waited)
		silent += max(0, ran, now.Sub(before)-waited)
		before, seen = now, used
		if n := v.printed.Load(); n != printed {
			printed, silent = n, 0
		}
		if silent >= silenceLimit(printed > 0, measure.get()) {
			giveUp(&stalledError{silent: silent, spoke: printed > 0})
			return
		}
	}
}

// usage is how long the threads of a process have run, and have waited for a processor.
type usage struct{ ran, waited time.Duration }

// usageOf reads the schedstat of a process's threads (Documentation/scheduler/sched-stats.rst). What cannot be read, on a
// kernel without them, counts as nothing: then the clock alone judges.
func usageOf(pid int) (u usage) {
	files, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "schedstat"))
	if err != nil {
		return usage{}
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		var ran, waited time.Duration // nanoseconds
		if _, err := fmt.Fscan(strings.NewReader(string(text)), &ran, &waited); err == nil {
			u.ran += ran
			u.waited += waited
		}
	}
	return u
}
