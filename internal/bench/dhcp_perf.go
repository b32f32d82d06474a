package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// dropLimit is the share of lost exchanges up to which a rate counts as kept, in percent.
const dropLimit = 1

// perfResult is the greatest rate that perfdhcp could keep with a server.
type perfResult struct {
	rate  float64 // exchanges per second
	drops float64 // percent, at that rate
}

// benchPerf searches that rate for every server, a step for each in turn.
func benchPerf(ctx context.Context, o options, p plan, stands []*stand, results map[string]*figures) error {
	if _, err := exec.LookPath("perfdhcp"); err != nil {
		o.say("perfdhcp (Debian package kea-admin) is not installed")
		return nil
	}
	searches := map[string]*rateSearch{}
	for _, s := range stands {
		if s.name != "echo" { // which is no server that a relay could speak to
			// A closed loop says about where the limit lies.
			searches[s.name] = &rateSearch{try: 0.8 * results[s.name].many.rate.quantile(0.5)}
		}
	}
	for trial := range p.perfTrials {
		o.say("perfdhcp: step %d of %d", trial+1, p.perfTrials)
		for _, s := range inTurn(stands, trial) {
			at := searches[s.name]
			if at == nil || at.try < 1 {
				continue
			}
			r, err := s.perf(ctx, at.try, p)
			if err != nil {
				return fmt.Errorf("perfdhcp against %s: %w", s.name, err)
			}
			at.learn(r)
			results[s.name].perf = at.best
		}
	}
	return nil
}

// rateSearch narrows the gap between a rate that was kept and one that was not.
type rateSearch struct {
	low, high, try float64
	best           perfResult
}

// learn chooses the next rate to try.
func (s *rateSearch) learn(r perfResult) {
	kept := r.drops <= dropLimit
	if kept && r.rate > s.best.rate {
		s.best = r
	}
	// perfdhcp itself may not manage to send as fast as it was told to.
	if kept && r.rate > 0.95*s.try {
		s.low = s.try
	} else {
		s.high = s.try
	}
	s.try = (s.low + s.high) / 2
	if s.high == 0 {
		s.try = 1.4 * s.low
	}
}

var (
	perfReceived = regexp.MustCompile(`received packets: ([0-9]+)`)
	perfDrops    = regexp.MustCompile(`drops ratio: ([0-9.e+-]+) ?%`)
)

// perf runs perfdhcp once, in one thread: with its two, it takes both processors of a small machine from the server, and
// loses replies in its own socket's queue (UdpRcvbufErrors) long before a quick server is at its end.
func (s *stand) perf(ctx context.Context, rate float64, p plan) (r perfResult, err error) {
	args := []string{
		"netns", "exec", s.clients, "perfdhcp", "-4", "-g", "single", "-l", "eth0", "-r", strconv.Itoa(int(rate)),
		"-R", strconv.Itoa(p.clients), "-p", strconv.Itoa(p.perfPeriod), "-W", "500000", serverAddr,
	}
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	exit := new(exec.ExitError)
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) { // 3: not every exchange was completed
		return r, fmt.Errorf("%w: %s", err, out)
	}
	received := perfReceived.FindAllSubmatch(out, -1)
	drops := perfDrops.FindAllSubmatch(out, -1)
	if len(received) != 2 || len(drops) != 2 {
		return r, fmt.Errorf("its report is not understood: %s", out)
	}
	// The rate that it reports itself is of the time with its wait for stragglers.
	acks, err := strconv.Atoi(string(received[1][1]))
	r.rate = float64(acks) / float64(p.perfPeriod)
	for _, d := range drops { // of DISCOVER-OFFER and of REQUEST-ACK
		ratio, parseErr := strconv.ParseFloat(string(d[1]), 64)
		err = errors.Join(err, parseErr)
		r.drops = max(r.drops, ratio)
	}
	return r, err
}
