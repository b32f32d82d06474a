package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// envTestSignal names the variable that lets a test stop kvmlab at an exact point: "KILL@7" sends SIGKILL to this
// process as soon as the seventh record of its journal is on the disk, "INT@7" sends SIGINT. The points within a change
// that engine.Config.Passed tells of count as well.
const envTestSignal = "KVMLAB_TEST_SIGNAL"

// stopPoint reads the variable's value; without one the function does nothing.
func stopPoint(value string) (func(), error) {
	if value == "" {
		return func() {}, nil
	}
	name, number, _ := strings.Cut(value, "@")
	signal := unix.SignalNum("SIG" + name)
	at, err := strconv.Atoi(number)
	if signal == 0 || err != nil {
		return nil, diag.New(diag.Usage, diag.Args{
			"message": fmt.Sprintf("%s=%s is not SIGNAL@NUMBER", envTestSignal, value), "command": "kvmlab",
		})
	}
	var seen atomic.Int64
	return func() {
		if seen.Add(1) == int64(at) {
			_ = unix.Kill(os.Getpid(), signal) // a process may always signal itself
			if signal == unix.SIGKILL {
				select {} // nothing more happens, whichever thread the kernel ends first
			}
		}
	}, nil
}
