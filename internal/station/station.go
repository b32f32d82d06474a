// Package station plays the part of one more machine on a lab's bridge, in user space: a client, a relay, a second server,
// or somebody who has taken an address. It is what a check uses to ask a server at will, or to bring a guest into trouble,
// without a guest of its own.
//
// The messages are built by package dhcp; what comes back is on the lab's wire for everybody to see, so a station reports
// nothing.
package station

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/kvmlab/kvmlab/macgen"
)

// Role is what a station plays. The zero value is invalid.
type Role uint8

// The roles.
const (
	_        Role = iota
	Client        // asks for an address, takes it, and gives it back at the end
	Relay         // asks for a client behind it: its address is the giaddr
	Rogue         // answers as a DHCP server
	Squatter      // has an address that nobody has lent it
)

// Roles are the words of the roles, in their order.
func Roles() []string { return []string{"client", "relay", "rogue", "squatter"} }

// String gives the word.
func (r Role) String() string {
	if int(r) > len(Roles()) || r == 0 {
		return "invalid"
	}
	return Roles()[r-1]
}

// Asks reports whether a station begins an exchange by itself: then a check can be about the station.
func (r Role) Asks() bool { return r == Client || r == Relay }

// Part is what a station is to play.
type Part struct {
	Role   Role
	Number int // from 1 to Most
	Bridge string
	// Segment is the bridge's place in the lab, from 0.
	Segment int
	// Address is the station's own: the giaddr of a relay, with the length of the prefix for a rogue server. A client has
	// none.
	Address netip.Prefix
	// First and Last are what a rogue server lends.
	First, Last netip.Addr
}

// patience is how long a station waits for an answer before it asks again (RFC 2131 section 4.1).
const patience = 4 * time.Second

// actor is a station's behaviour.
type actor interface {
	// speak is called at the beginning, and whenever patience is over.
	speak() error
	// hear is called with the packet of each frame that is for the station.
	hear(f frame) error
	// leave is called at the end.
	leave() error
}

// Play plays a part on a card, a tap that is in the bridge, until ctx ends, which is a clean end (nil); then it says
// goodbye and closes the card. A link that goes away under it is a clean end, too.
func Play(ctx context.Context, card io.ReadWriteCloser, part Part) error {
	s := &stage{card: card, part: part, mac: part.MAC()}
	actor := s.cast()
	frames, ended := make(chan frame), make(chan struct{})
	done := make(chan struct{})
	go func() { defer close(ended); s.listen(frames, done) }()
	err := s.run(ctx, actor, frames, ended)
	close(done)
	err = errors.Join(err, actor.leave())
	if closeErr := card.Close(); closeErr != nil && !errors.Is(closeErr, os.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	<-ended
	if err != nil && !gone(err) {
		return fmt.Errorf("play a %s on %s: %w", part.Role, part.Bridge, err)
	}
	return nil
}

// run speaks and listens in turn.
func (s *stage) run(ctx context.Context, actor actor, frames <-chan frame, ended <-chan struct{}) error {
	timer := time.NewTicker(patience)
	defer timer.Stop()
	err := actor.speak()
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			return nil
		case <-timer.C:
			err = actor.speak()
		case f := <-frames:
			err = errors.Join(s.answer(f), actor.hear(f))
		}
	}
	return err
}

// cast finds who plays the part.
func (s *stage) cast() actor {
	switch s.part.Role {
	case Rogue:
		return &rogue{stage: s, lent: map[macgen.MAC]netip.Addr{}, next: s.part.First}
	case Squatter:
		return squatter{}
	default:
		return newClient(s)
	}
}

// squatter only answers for its address, as every station does that has one.
type squatter struct{}

func (squatter) speak() error     { return nil }
func (squatter) hear(frame) error { return nil }
func (squatter) leave() error     { return nil }
