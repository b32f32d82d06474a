package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// framesPerWrite bounds how many frames a stream takes from the hub at once.
const framesPerWrite = 256

// sinceUp is the value of ?since= that means everything that is kept.
const sinceUp = "up"

// serveFrames streams pcapng: from ?since= on (a time as in RFC 3339, or "up") what is kept on disk, then what happens,
// until the client goes or ends the stream ?id= with serveEnd. It closes with the counts of every link.
func (r *recorder) serveFrames(w *patientWriter, req *http.Request) {
	since, past, err := parseSince(req.URL.Query().Get("since"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if len(r.links) == 0 {
		http.Error(w, "the lab has no bridge", http.StatusNotFound)
		return
	}
	s, err := r.openStream(w, req.URL.Query().Get("id"), past)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer s.close()
	w.Header().Set("Content-Type", "application/x-pcapng")
	if err := s.run(req.Context(), since); err != nil && req.Context().Err() == nil {
		r.logger.Warn("stream frames", "err", err)
	}
}

// serveEvidence writes as pcapng what is kept for checks, everything that is on the wire now included.
func (r *recorder) serveEvidence(w *patientWriter, req *http.Request) {
	if len(r.links) == 0 {
		http.Error(w, "the lab has no bridge", http.StatusNotFound)
		return
	}
	if err := r.drain(req.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.mu.Lock()
	frames := r.kept.all()
	r.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-pcapng")
	out, err := capture.NewWriter(w, "kvmlab", r.links...)
	for i := 0; i < len(frames) && err == nil; i++ {
		err = out.Write(frames[i])
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil && req.Context().Err() == nil {
		r.logger.Warn("hand out evidence", "err", err)
	}
}

// parseSince reads ?since=; past is false when only what happens from now on is wanted.
func parseSince(text string) (since time.Time, past bool, err error) {
	switch text {
	case "":
		return time.Time{}, false, nil
	case sinceUp:
		return time.Time{}, true, nil
	}
	since, err = time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("since: not a time: %w", err)
	}
	return since, true, nil
}

// serveEnd ends the stream ?id= after everything that is on the wire now.
func (r *recorder) serveEnd(w http.ResponseWriter, req *http.Request) {
	id := req.URL.Query().Get("id")
	if err := r.drain(req.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	stop, ok := r.streams[id]
	if !ok {
		http.Error(w, "no such stream", http.StatusNotFound)
		return
	}
	close(stop)
	delete(r.streams, id)
	w.WriteHeader(http.StatusOK)
}

// frameStream is one reader of frames.
type frameStream struct {
	recorder *recorder
	id       string
	stop     chan struct{}
	past     *past // nil when only the present is wanted
	out      *capture.Writer
	client   *patientWriter
	after    uint64                    // the newest frame that the past holds, or has been sent
	onLink   map[string]uint64         // the same by link
	missed   map[string]uint64         // frames that left the hub before they were sent
	before   map[string]capture.Counts // what the links had when the stream began
}

// openStream fixes the point between past and present: under the lock no frame is between disk and hub.
func (r *recorder) openStream(client *patientWriter, id string, past bool) (*frameStream, error) {
	s := &frameStream{
		recorder: r, id: id, stop: make(chan struct{}), client: client, missed: map[string]uint64{},
		before: map[string]capture.Counts{},
	}
	if !past {
		s.before = r.counts()
	}
	var err error
	if s.out, err = capture.NewWriter(client, "kvmlab", r.links...); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if past {
		if s.past, err = r.past(); err != nil {
			return nil, err
		}
	}
	s.after, s.onLink = r.hub.last()
	if id != "" {
		r.streams[id] = s.stop
	}
	return s, nil
}

func (s *frameStream) close() {
	s.recorder.mu.Lock()
	defer s.recorder.mu.Unlock()
	if s.recorder.streams[s.id] == s.stop {
		delete(s.recorder.streams, s.id)
	}
	if s.past != nil {
		s.past.close()
	}
}

// send hands what was written to the client at once.
func (s *frameStream) send() error { return errors.Join(s.out.Flush(), s.client.Flush()) }

func (s *frameStream) run(ctx context.Context, since time.Time) error {
	for s.past != nil {
		f, ok := s.past.next()
		if !ok {
			break
		}
		if f.Time.Before(since) {
			continue
		}
		if err := s.out.Write(f); err != nil {
			return err
		}
	}
	for { // the first round tells the client that it listens
		if err := s.send(); err != nil {
			return err
		}
		frames := s.recorder.hub.next(ctx, s.after, framesPerWrite, s.stop)
		if len(frames) == 0 {
			break
		}
		for _, f := range frames {
			if err := s.write(f); err != nil {
				return err
			}
		}
	}
	return errors.Join(s.finish(), s.send())
}

func (s *frameStream) write(f seenFrame) error {
	s.missed[f.Interface] += f.onLink - s.onLink[f.Interface] - 1
	s.onLink[f.Interface], s.after = f.onLink, f.seq
	return s.out.Write(f.Frame)
}

// finish writes how many frames each link had, and how many of them did not get here: dropped by the kernel, or gone
// before the client took them.
func (s *frameStream) finish() error {
	now := capture.Frame{Time: time.Now()}
	var errs []error
	for link, counts := range s.recorder.counts() {
		before := s.before[link]
		counts.Received -= before.Received
		counts.Dropped += s.missed[link] - before.Dropped
		errs = append(errs, s.out.WriteCounts(link, counts, now))
	}
	return errors.Join(errs...)
}
