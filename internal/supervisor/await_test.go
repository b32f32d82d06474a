package supervisor_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/internal/supervisor"
)

// tellEvents is a control socket that tells a fixed list of events and then either ends or stays silent.
func tellEvents(t *testing.T, stay bool, events ...lab.Event) *supervisor.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, ev := range events {
			_ = json.NewEncoder(w).Encode(ev)
		}
		_ = http.NewResponseController(w).Flush()
		if stay {
			<-r.Context().Done()
		}
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	client := supervisor.NewClient(path)
	t.Cleanup(client.Close)
	return client
}

func dhcpEvent(guest, message string, sent bool) lab.Event {
	return lab.Event{
		Kind: lab.EventDHCP, Guest: guest, NIC: "eth0", Message: message, Sent: sent,
		Address: netip.MustParseAddr("192.168.1.2"),
	}
}

func TestAwaitLeases(t *testing.T) {
	pc1, pc2 := supervisor.NIC{Guest: "pc1", Name: "eth0"}, supervisor.NIC{Guest: "pc2", Name: "eth0"}
	booted := lab.Event{Kind: lab.EventGuest, Guest: "pc2", Message: lab.GuestIdentified}
	want := []supervisor.Wanted{{NIC: pc1}, {NIC: pc2}}

	t.Run("all leased", func(t *testing.T) {
		seen := 0
		leased, err := tellEvents(t, true, dhcpEvent("pc1", "ACK", true), booted, dhcpEvent("pc2", "ACK", true)).
			AwaitLeases(nstest.Limit(t), 0, want, func(lab.Event) { seen++ })
		if err != nil || len(leased) != 2 || seen != 3 {
			t.Errorf("leased %v, saw %d events, %v", leased, seen, err)
		}
	})
	t.Run("somebody else's ACK does not count", func(t *testing.T) {
		_, err := tellEvents(t, false, dhcpEvent("pc1", "ACK", false), dhcpEvent("pc2", "ACK", false)).
			AwaitLeases(nstest.Limit(t), 0, want, nil)
		if err == nil {
			t.Error("no error when the supervisor ended without the ACKs")
		}
	})
	t.Run("time runs out", func(t *testing.T) {
		for _, test := range []struct {
			last lab.Event
			step string
		}{
			{lab.Event{Guest: "pc3"}, "boot"},
			{booted, "DISCOVER"},
			{dhcpEvent("pc2", "DISCOVER", false), "OFFER"},
			{dhcpEvent("pc2", "OFFER", true), "REQUEST"},
			{dhcpEvent("pc2", "REQUEST", false), "ACK"},
		} {
			ctx, cancel := context.WithTimeout(nstest.Limit(t), 200*time.Millisecond)
			_, err := tellEvents(t, true, dhcpEvent("pc1", "ACK", true), test.last).AwaitLeases(ctx, 0, want, nil)
			cancel()
			timeout := new(supervisor.LeaseTimeoutError)
			if !errors.As(err, &timeout) || !errors.Is(err, context.DeadlineExceeded) || len(timeout.Missing) != 1 {
				t.Errorf("after %q: got %v", test.last.Message, err)
				continue
			}
			if d := cmp.Diff(test.step, timeout.Missing[0].NextStep()); d != "" || timeout.Missing[0].NIC != pc2 {
				t.Errorf("after %q: %v, step %s", test.last.Message, timeout.Missing[0].NIC, d)
			}
		}
	})
	t.Run("a guest stops", func(t *testing.T) {
		_, err := tellEvents(t, true, booted, lab.Event{Kind: lab.EventGuest, Guest: "pc2", Message: lab.GuestStopped}).
			AwaitLeases(nstest.Limit(t), 0, want, nil)
		stopped := new(supervisor.GuestStoppedError)
		if !errors.As(err, &stopped) || stopped.Guest != "pc2" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a guest is restarted", func(t *testing.T) {
		guest := func(message string) lab.Event { return lab.Event{Kind: lab.EventGuest, Guest: "pc1", Message: message} }
		want := []supervisor.Wanted{{NIC: pc1, Restarted: true}}
		stop, start := guest(lab.GuestStopped), guest(lab.GuestStarted)
		leased, err := tellEvents(t, true, stop, start, dhcpEvent("pc1", "ACK", true)).AwaitLeases(nstest.Limit(t), 0, want, nil)
		if err != nil || leased[pc1] != netip.MustParseAddr("192.168.1.2") {
			t.Errorf("got %v, %v", leased, err)
		}
		_, err = tellEvents(t, true, stop, start, stop).AwaitLeases(nstest.Limit(t), 0, want, nil)
		stopped := new(supervisor.GuestStoppedError)
		if !errors.As(err, &stopped) {
			t.Errorf("it stopped after its start: got %v", err)
		}
	})
	t.Run("nobody to wait for", func(t *testing.T) {
		if _, err := supervisor.NewClient("/nowhere").AwaitLeases(nstest.Limit(t), 0, nil, nil); err != nil {
			t.Error(err)
		}
	})
}
