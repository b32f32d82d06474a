package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kvmlab/kvmlab/internal/lab"
)

// Wire is what the supervisor must know of the links of its lab.
type Wire interface {
	// ForeignPorts returns the ports of the bridge that are not the lab's. A bridge that is gone, or that does not
	// carry the lab's mark, is an error.
	ForeignPorts(ctx context.Context, bridge, labName string) ([]string, error)
	// Watch returns a channel that gets a value after links have changed, until ctx ends.
	Watch(ctx context.Context) (<-chan struct{}, error)
}

// silence remembers on which bridges the DHCP server must not answer, and why.
type silence struct {
	mu      sync.RWMutex
	reasons map[string]string // a foreign port
	ordered map[string]string // somebody asked for it; goes before
}

func newSilence() *silence {
	return &silence{reasons: map[string]string{}, ordered: map[string]string{}}
}

// why returns the reason for silence on a bridge, "" when it is served.
func (s *silence) why(bridge string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return cmp.Or(s.ordered[bridge], s.reasons[bridge])
}

// order is set for what people ask for, which foreign ports that come and go leave alone.
func (s *silence) order(bridge, why string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ordered[bridge] == why {
		return false
	}
	s.ordered[bridge] = why
	return true
}

// set stores the reason ("" to serve again) and reports whether that changed anything.
func (s *silence) set(bridge, why string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reasons[bridge] == why {
		return false
	}
	s.reasons[bridge] = why
	return true
}

// guard is asked by the DHCP server before each batch of messages.
func (s *silence) guard(bridge string) error {
	if why := s.why(bridge); why != "" {
		return errors.New(why)
	}
	return nil
}

// watchPorts keeps the DHCP server off every segment that is more than the lab: with a foreign port in the bridge
// (the school's network card, say) its answers would reach strangers. It returns an error when a served bridge is
// gone, because the server's sockets are deaf then; the next `up` makes the bridge and starts a new supervisor.
func (s *Supervisor) watchPorts(ctx context.Context) error {
	changed, err := s.wire.Watch(ctx)
	if err != nil {
		return fmt.Errorf("watch links: %w", err)
	}
	for {
		// Checked at once as well: a port may have come between open and Watch.
		if err := s.checkPorts(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-changed:
			if !open && ctx.Err() == nil {
				return errors.New("watch links: the kernel's notifications ended")
			}
		}
	}
}

// checkPorts looks at every served bridge once and silences or unsilences it.
func (s *Supervisor) checkPorts(ctx context.Context) error {
	for _, bridge := range s.lab.Bridges {
		if bridge.DHCP == nil {
			continue
		}
		foreign, err := s.wire.ForeignPorts(ctx, bridge.Name, s.lab.Name)
		if err != nil {
			return fmt.Errorf("look at bridge %q: %w", bridge.Name, err)
		}
		why := ""
		if len(foreign) > 0 {
			why = fmt.Sprintf("%s in %s: not a port of this lab, so DHCP keeps silent there",
				strings.Join(foreign, ", "), bridge.Name)
		}
		if s.silence.set(bridge.Name, why) {
			s.tellSilence(bridge.Name, s.silence.why(bridge.Name)) // it may be off besides
		}
	}
	return nil
}

// tellSilence makes an event and a log line of a change.
func (s *Supervisor) tellSilence(bridge, why string) {
	ev := lab.Event{Time: time.Now(), Kind: lab.EventService, Bridge: bridge, Message: lab.ServiceSilent, Text: why}
	if why == "" {
		ev.Message, ev.Text = lab.ServiceServing, "DHCP answers on "+bridge+" again"
	}
	s.log.Warn("DHCP service changed", "lab", s.lab.Name, "iface", bridge, "silent", why)
	s.hub.Publish(ev)
}
