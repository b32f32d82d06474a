package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used.
type Usage struct {
	CPU time.Duration // in user and kernel mode, since its start
	// PSS is its proportional set in MiB: memory that it shares counts in equal parts for all who do (proc(5)).
	PSS float64
	// RSS is its resident set in MiB, in which what is shared counts whole.
	RSS float64
	// Anon is the part of PSS that is no file: of a program that runs several times, what each one adds.
	Anon float64
}

// ReadUsage reads the use of a process from /proc.
func ReadUsage(pid int) (u Usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, fmt.Errorf("read the use of process %d: %w", pid, err)
	}
	// After the name, which may hold anything: state is field 3, utime and stime are 14 and 15 (proc(5)).
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return u, fmt.Errorf("read the use of process %d: %d fields", pid, len(fields))
	}
	const tick = time.Second / 100 // USER_HZ
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return u, fmt.Errorf("read the use of process %d: %w", pid, err)
		}
		u.CPU += time.Duration(n) * tick
	}
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return u, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for field, into := range map[string]*float64{"Rss": &u.RSS, "Pss": &u.PSS, "Pss_Anon": &u.Anon} {
		_, rest, found := strings.Cut(string(rollup), "\n"+field+":")
		if !found {
			return u, fmt.Errorf("read the memory of process %d: no %s", pid, field)
		}
		kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
		if err != nil {
			return u, fmt.Errorf("read the memory of process %d: %w", pid, err)
		}
		*into = kib / 1024
	}
	return u, nil
}

// add sums two processes up.
func (u Usage) add(other Usage) Usage {
	return Usage{u.CPU + other.CPU, u.PSS + other.PSS, u.RSS + other.RSS, u.Anon + other.Anon}
}

// ReadUsages is the sum over processes.
func ReadUsages(pids []int) (sum Usage, err error) {
	for _, pid := range pids {
		one, err := ReadUsage(pid)
		if err != nil {
			return sum, err
		}
		sum = sum.add(one)
	}
	return sum, nil
}
