package main

import (
	"context"
	"slices"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/supervisor"
)

// floodTime is how the time of a flood is written: of the day, to the second.
const floodTime = "15:04:05"

// floodWarnings names who has flooded a lab.
func floodWarnings(a *app, floods []supervisor.Flood) diag.List {
	var list diag.List
	for _, f := range floods {
		kind := f.Kind
		if kind == "other" {
			kind = "Ethernet"
		}
		at := f.At.In(a.now().Location()).Format(floodTime)
		if f.Senders > 0 {
			list = append(list, diag.New(diag.FloodedByMany, diag.Args{
				"senders": f.Senders, "count": f.Packets, "kind": kind, "time": at,
			}))
			continue
		}
		who := f.MAC
		if f.Guest != "" {
			who = f.Guest
		}
		list = append(list, diag.New(diag.Flooded, diag.Args{"who": who, "count": f.Packets, "kind": kind, "time": at}))
	}
	return list
}

// captureWarnings is what stands between a lab's packets and those who look for them later.
func captureWarnings(a *app, st labState) diag.List {
	list := floodWarnings(a, st.Floods)
	if st.Unkept > 0 {
		list = append(list, diag.New(diag.CaptureUnkept, diag.Args{"count": st.Unkept, "lab": st.Name}))
	}
	return list
}

// floodsSince are those whose worst second is not before a time.
func (e *exercise) floodsSince(ctx context.Context, since time.Time) []supervisor.Flood {
	floods := askSupervisor(ctx, true, e.files.SupervisorSocket()).Floods
	return slices.DeleteFunc(floods, func(f supervisor.Flood) bool { return f.At.Before(since) })
}
