package main

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"time"
)

// plan says how long the parts of the DHCP benchmark take: under six minutes in all.
type plan struct {
	rounds, largeRounds  int
	many, single, large  time.Duration // one measurement with 64 and with 1 outstanding, and with 50,000 clients
	preload              time.Duration // the most that 50,000 first leases may take
	perfPeriod           int           // seconds of one perfdhcp run
	perfTrials           int
	clients, moreClients int
	leases               int // of the load at start
}

const outstanding = 64

func (o options) plan() plan {
	if o.quick {
		return plan{
			rounds: 2, largeRounds: 1, many: 300 * time.Millisecond, single: 200 * time.Millisecond, large: 300 * time.Millisecond,
			preload: time.Second, perfPeriod: 1, perfTrials: 2, clients: 500, moreClients: 50_000, leases: 100_000,
		}
	}
	return plan{
		rounds: 6, largeRounds: 5, many: 1500 * time.Millisecond, single: 700 * time.Millisecond, large: 1500 * time.Millisecond,
		preload: 10 * time.Second, perfPeriod: 3, perfTrials: 7, clients: 500, moreClients: 50_000, leases: 1_000_000,
	}
}

// figures are what was measured of one server.
type figures struct {
	many, single, large rounds
	loaded              int // how many of the 50,000 had a lease when they were measured
	perf                perfResult
}

// rounds are repeated measurements of one thing.
type rounds struct {
	rate  samples
	times samples // of all exchanges of all rounds, in seconds
	lost  int
}

func (r *rounds) add(l loadResult) {
	r.rate.add(l.rate())
	r.times = append(r.times, l.times...)
	r.lost += l.lost
}

func (r rounds) time(q float64) time.Duration {
	return time.Duration(r.times.quantile(q) * float64(time.Second)).Round(time.Microsecond)
}

// benchDHCP compares kvmlab's DHCP server with others. All run at once, each on a wire of its own, and are measured in
// turn, so that what else the machine does falls on all of them alike.
func benchDHCP(ctx context.Context, o options) (string, error) {
	p := o.plan()
	var present []contender
	for _, c := range contenders() {
		if _, err := exec.LookPath(c.program); c.program != "" && err != nil {
			o.say("%s is not installed", c.program)
			continue
		}
		present = append(present, c)
	}
	results := map[string]*figures{}
	for _, c := range present {
		results[c.name] = &figures{}
	}
	sync, err := syncTime(o.dir)
	if err != nil {
		return "", err
	}
	if err := benchSmall(ctx, o, p, present, results); err != nil {
		return "", err
	}
	if err := benchLarge(ctx, o, p, present, results); err != nil {
		return "", err
	}
	start, err := benchMillion(ctx, o, p.leases)
	if err != nil {
		return "", err
	}
	return dhcpSection(p, present, results, sync, start)
}

// openAll starts every server.
func openAll(ctx context.Context, o options, n network, present []contender) (stands []*stand, closeAll func() error, err error) {
	closeAll = func() error {
		var errs []error
		for _, s := range stands {
			errs = append(errs, s.close())
		}
		return errors.Join(errs...)
	}
	for _, c := range present {
		s, err := c.open(ctx, o, n)
		if err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
		stands = append(stands, s)
	}
	return stands, closeAll, nil
}

// benchSmall is 500 clients on a /22: the generator with 64 outstanding and with 1, and perfdhcp.
func benchSmall(ctx context.Context, o options, p plan, present []contender, results map[string]*figures) (err error) {
	stands, closeAll, err := openAll(ctx, o, smallNet, present)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	for _, s := range stands { // every client has a lease before anything counts
		if _, err := runLoad(ctx, s.fd, p.clients, outstanding, 5*time.Second, true); err != nil {
			return err
		}
	}
	for round := range p.rounds {
		o.say("%d clients: round %d of %d", p.clients, round+1, p.rounds)
		for _, s := range inTurn(stands, round) {
			many, err := runLoad(ctx, s.fd, p.clients, outstanding, p.many, false)
			if err != nil {
				return err
			}
			single, err := runLoad(ctx, s.fd, p.clients, 1, p.single, false)
			if err != nil {
				return err
			}
			results[s.name].many.add(many)
			results[s.name].single.add(single)
		}
	}
	return benchPerf(ctx, o, p, stands, results)
}

// benchLarge is 50,000 clients on a /15.
func benchLarge(ctx context.Context, o options, p plan, present []contender, results map[string]*figures) (err error) {
	stands, closeAll, err := openAll(ctx, o, largeNet, present)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	for _, s := range stands {
		o.say("%d clients: first leases from %s", p.moreClients, s.name)
		r, err := runLoad(ctx, s.fd, p.moreClients, outstanding, p.preload, true)
		if err != nil {
			return err
		}
		results[s.name].loaded = r.done
	}
	for round := range p.largeRounds {
		o.say("%d clients: round %d of %d", p.moreClients, round+1, p.largeRounds)
		for _, s := range inTurn(stands, round) {
			r, err := runLoad(ctx, s.fd, p.moreClients, outstanding, p.large, false)
			if err != nil {
				return err
			}
			results[s.name].large.add(r)
		}
	}
	return nil
}

// inTurn lets every round begin with another server.
func inTurn(stands []*stand, round int) []*stand {
	first := round % len(stands)
	return slices.Concat(stands[first:], stands[:first])
}
