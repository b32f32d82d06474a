package dhcp_test

import (
	"context"
	"net"
	"testing"

	"github.com/kvmlab/kvmlab/dhcp"
)

// TestEventOrder: the event of a reply comes before those of what its client answers, however quick it is, and also when an
// address was probed first, which is another goroutine's work.
func TestEventOrder(t *testing.T) {
	t.Parallel()
	defer failing(t)
	s, _ := newStage(t, setup{probe: true})
	const clients = 40
	for i := range byte(clients) {
		s.lease(net.HardwareAddr{2, 0, 0x5e, 0, 0x54, i})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	events, _, lost, _ := s.ring().Next(ctx, 0)
	offered := map[dhcp.HWAddr]bool{}
	requests := 0
	for _, e := range events {
		switch {
		case e.Direction == dhcp.Out && e.Type == dhcp.Offer:
			offered[e.MAC] = true
		case e.Direction == dhcp.In && e.Type == dhcp.Request:
			requests++
			if !offered[e.MAC] {
				t.Errorf("the REQUEST of %v was told of before its OFFER", e.MAC)
			}
		}
	}
	if requests != clients || lost != 0 {
		t.Errorf("%d REQUESTs of %d clients, %d events lost", requests, clients, lost)
	}
}
