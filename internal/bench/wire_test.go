package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

func TestFloodExchange(t *testing.T) {
	t.Parallel()
	var types []string
	for _, frame := range floodExchange() {
		floodAddress(frame, 9)
		p := capture.Decode(capture.Frame{Data: frame, Length: len(frame)})
		if p.Malformed != "" || p.DHCP == nil || p.DHCP.XID != 9 {
			t.Fatalf("a frame is %+v", p)
		}
		types = append(types, p.DHCP.Type.String())
	}
	if d := cmp.Diff([]string{"DISCOVER", "OFFER", "REQUEST", "ACK"}, types); d != "" {
		t.Errorf("messages (-want +got):\n%s", d)
	}
}

func TestWirePage(t *testing.T) {
	t.Parallel()
	page := wirePage([]floodFigures{
		{flood: flood{2000, 10}, sent: 80000, counted: 80000, captured: 79990, dropped: 9, took: 10 * time.Second, capture: 20, before: 21, recorder: 22},
		{flood: flood{0, 10}, sent: 4, took: time.Second},
	})
	for _, want := range []string{
		"| 2000/s for 10 s | 2000 | 80000 | 80000 | 79990 | 9 | 1 | 20 | 21 → 22 |", "| as fast as it goes for 10 s | 1 |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}
