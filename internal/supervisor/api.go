package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"golang.org/x/net/netutil"

	"github.com/kvmlab/kvmlab/internal/lab"
)

// apiVersion is the version of the control socket's protocol: HTTP/1.1 on a UNIX socket, JSON bodies.
const apiVersion = 1

// Status is what the supervisor says of itself on GET /v1/status.
type Status struct {
	Version int            `json:"version"`
	PID     int            `json:"pid"`
	Started time.Time      `json:"started"`
	Bridges []BridgeStatus `json:"bridges"`
	LastSeq uint64         `json:"last_seq"` // newest event
	Links   []LinkStatus   `json:"links"`    // what is captured
	Floods  []Flood        `json:"floods"`   // since it has started
	Unkept  uint64         `json:"unkept"`   // frames that the disk had no room for
}

// LinkStatus says how the capture on a link goes.
type LinkStatus struct {
	Name     string `json:"name"`
	MAC      string `json:"mac"`
	Received uint64 `json:"received"` // frames, those that were dropped included
	Dropped  uint64 `json:"dropped"`  // frames that came faster than they could be taken
}

// BridgeStatus says whether the embedded DHCP server answers on a bridge.
type BridgeStatus struct {
	Name    string `json:"name"`
	Serving bool   `json:"serving"`
	Silence string `json:"silence,omitempty"` // why it does not
	Off     bool   `json:"off"`               // it was handed over with `kvmlab dhcp off`
	// Faults are the teaching faults that are set.
	Faults []lab.Fault `json:"faults"`
}

// listen opens the control socket at path, for the user that the supervisor runs as alone: root. A socket left by a
// supervisor that was killed is replaced: the caller holds the supervisor's lock, so nobody listens there.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove old control socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open control socket: %w", err), l.Close())
	}
	return netutil.LimitListener(&ownListener{l}, mostConnections), nil
}

// handler returns the control socket's HTTP handler.
func (s *Supervisor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.serveStatus)
	mux.HandleFunc("GET /v1/events", s.readers.admit(s.serveEvents))
	mux.HandleFunc("GET /v1/frames", s.readers.admit(s.wiretap.serveFrames))
	mux.HandleFunc("GET /v1/evidence", s.readers.admit(s.wiretap.serveEvidence))
	mux.HandleFunc("POST /v1/frames/end", s.wiretap.serveEnd)
	mux.HandleFunc("POST /v1/dhcp", s.serveDHCP)
	return mux
}

func (s *Supervisor) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s.status()); err != nil {
		s.log.Warn("control socket: answer status", "lab", s.lab.Name, "err", err)
	}
}

// serveEvents streams one JSON object per line from the event after ?after=N on, until the client goes.
func (s *Supervisor) serveEvents(w *patientWriter, r *http.Request) {
	var after uint64
	if text := r.URL.Query().Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseUint(text, 10, 64); err != nil {
			http.Error(w, "after: not a sequence number", http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	// The headers go out at once, so that the client knows that it listens before anything happens.
	if err := w.Flush(); err != nil {
		return
	}
	for {
		events, _, err := s.hub.Next(r.Context(), after)
		if err != nil || len(events) == 0 {
			return
		}
		for _, ev := range events {
			if err := out.Encode(ev); err != nil {
				return
			}
			after = ev.Seq
		}
		if err := w.Flush(); err != nil {
			return
		}
	}
}
