package vm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/digitalocean/go-libvirt"
)

// A console's stream should end with an error when the console is taken over. libvirtd (virFDStreamCloseInt, up to 12 at the
// least) says nothing, though, when a piece of output is on its way to the one who loses it, as on a busy host one nearly
// always is. So whoever takes a console over also leaves a note in the running domain, and whoever has one open looks for
// such notes, and whether the guest is still the one that it was. Other programs leave no note. But what is typed on a console
// that was taken away stays with libvirtd, which after five such packets (max_client_requests) reads nothing more from
// that connection: then it does not answer a question there, either.

const (
	// seatURI and seatPrefix are the XML name space of that note, which goes with the guest.
	seatURI    = "https://github.com/kvmlab/kvmlab/xmlns/console/1"
	seatPrefix = "kvmlab-console"
	// seatPoll is how often the note is looked for.
	seatPoll = time.Second
	// lastOutput is how long a stream has for what the guest printed last, when it is known to be over.
	lastOutput = 3 * time.Second
	// deafLimit is how long libvirt may take to answer a question on the console's own connection.
	deafLimit = 20 * time.Second
	// dyingPoll and dyingLimit are how often, and for how long, libvirt is asked whether it knows yet that a guest has
	// ended whose console has.
	dyingPoll  = 50 * time.Millisecond
	dyingLimit = 5 * time.Second
)

// seat is the place at a guest's console that one stream has.
type seat struct {
	domain libvirt.Domain // its ID is this run of the guest's
	note   string         // the last that somebody left who took the console over
}

// seatAt prepares for the opening of a console: of the lab's own guests only, if it runs.
func seatAt(rpc *libvirt.Libvirt, name string, flags libvirt.DomainConsoleFlags) (seat, error) {
	d, state, err := owned(rpc, name)
	switch {
	case err != nil:
		return seat{}, err
	case !state.Run.Active():
		return seat{}, ErrNotRunning
	}
	if flags&libvirt.DomainConsoleForce != 0 {
		text := fmt.Sprintf("<taken by='%s'/>", rand.Text())
		err = rpc.DomainSetMetadata(d, int32(libvirt.DomainMetadataElement), libvirt.OptString{text},
			libvirt.OptString{seatPrefix}, libvirt.OptString{seatURI}, libvirt.DomainAffectLive)
		if err != nil {
			return seat{}, err
		}
	}
	note, err := noteAt(rpc, d)
	return seat{domain: d, note: note}, err
}

// noteAt reads the note; it is empty when nobody has ever taken the console over.
func noteAt(rpc *libvirt.Libvirt, d libvirt.Domain) (string, error) {
	note, err := rpc.DomainGetMetadata(d, int32(libvirt.DomainMetadataElement), libvirt.OptString{seatURI}, libvirt.DomainAffectLive)
	if hasCode(err, libvirt.ErrNoDomainMetadata) {
		return "", nil
	}
	return note, err
}

// lost is why the seat is nobody's any more, io.EOF for a guest that has ended; nil when it still is. An error that is
// neither tells that libvirt did not say.
func (c *Conn) lost(ctx context.Context, at seat) (why, err error) {
	err = c.call(ctx, func(rpc *libvirt.Libvirt) error {
		d, err := rpc.DomainLookupByUUID(at.domain.UUID)
		if err != nil {
			return err
		}
		if d.ID != at.domain.ID {
			why = io.EOF
			return nil
		}
		note, err := noteAt(rpc, d)
		if err == nil && note != at.note {
			why = ErrConsoleTaken
		}
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound), hasCode(err, libvirt.ErrOperationInvalid): // it was undefined, or ended just now
		return io.EOF, nil
	case errors.Is(err, ErrNoAnswer):
		return err, nil
	}
	return why, err
}

// watch ends the console when it is over, although its stream does not say so. An error is left alone: a daemon that is
// gone takes the stream along.
func (s *console) watch(ctx context.Context, c *Conn, at seat) {
	var why error
	for why == nil {
		if pause(ctx, seatPoll) != nil {
			return
		}
		why, _ = c.lost(ctx, at)
		if why == nil && s.unanswered.Load() && !s.printing.Load() && s.deaf(ctx, c.deaf) {
			s.end(ErrConsoleTaken)
			return
		}
	}
	// Usually the stream ends by itself, after what the guest has printed last.
	select {
	case <-s.ended:
	case <-ctx.Done():
	case <-time.After(lastOutput):
		s.end(why)
	}
}

// deaf reports whether libvirt answers no question on the console's own connection, for lack of anybody who takes what was
// typed before it. While the console's reader holds that connection up, it does not tell.
func (s *console) deaf(ctx context.Context, limit time.Duration) bool {
	answered := make(chan struct{})
	s.running.Go(func() { // until the answer, or the end of the connection
		_, _ = s.link.rpc.ConnectGetLibVersion()
		close(answered)
	})
	select {
	case <-answered:
	case <-ctx.Done():
	case <-time.After(limit):
		return !s.printing.Load()
	}
	return false
}

// endOf is why a console's stream has ended, which libvirt's error tells in words only: io.EOF for the guest's end.
func endOf(ctx context.Context, c *Conn, at seat, err error) error {
	switch {
	case err == nil:
		return io.EOF
	case !isAnswer(err):
		return mapped(err)
	}
	// A guest that has ended may do so before libvirt knows: it would look like one that still runs, and its console as if
	// taken over by another program than this.
	limit := time.NewTimer(dyingLimit)
	defer limit.Stop()
	for {
		if why, err := c.lost(ctx, at); why != nil || err != nil {
			return errors.Join(why, err)
		}
		select {
		case <-ctx.Done():
			return io.EOF
		case <-limit.C:
			return ErrConsoleTaken
		case <-time.After(dyingPoll):
		}
	}
}
