package main

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
)

func TestTimings(t *testing.T) {
	t.Parallel()
	began := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	now := began
	after := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	trace := newTimings(&app{now: func() time.Time { return now }}, true)
	now = after(30)
	trace.Planned()
	change := func(kind engine.EventKind, what engine.Kind, name string, at, took int, err error) {
		trace.Change(engine.Event{
			Kind: kind, Change: engine.Change{Address: engine.Address{Kind: what, Name: name}},
			Time: after(at), Duration: time.Duration(took) * time.Millisecond, Err: err,
		})
	}
	event := func(guest, message string, at int) {
		trace.Event(lab.Event{Guest: guest, Message: message, Time: after(at)})
	}
	change(engine.Started, engine.KindDomain, "pc1", 50, 0, nil)
	change(engine.Done, engine.KindDomain, "pc1", 90, 40, nil)
	change(engine.Failed, engine.KindTap, "tap2", 45, 10, errors.New("no"))
	event("pc1", lab.GuestStarted, 91)
	event("pc1", "DISCOVER", 1100) // from the wire, and so sometimes ahead
	event("pc1", lab.GuestIdentified, 1090)
	event("", "ACK", 1101)
	data, err := json.Marshal(trace.sorted())
	want := `[{"what":"plan","at_ms":0,"took_ms":30},{"what":"tap.tap2 failed","at_ms":35,"took_ms":10},` +
		`{"what":"domain.pc1","at_ms":50,"took_ms":40},{"what":"pc1 identified","at_ms":90,"took_ms":1000},` +
		`{"what":"pc1 DISCOVER","at_ms":1090,"took_ms":10}]`
	if d := cmp.Diff(want, string(data)); d != "" || err != nil {
		t.Errorf("%v: %s", err, d)
	}
	var none *timings // what is not wanted records nothing
	none.Planned()
	none.Change(engine.Event{})
	none.Event(lab.Event{})
	if none.sorted() != nil || none.write(nil) != nil {
		t.Error("a trace that nobody wanted")
	}
}
