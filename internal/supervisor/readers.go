package supervisor

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// MostReaders is how many may read a supervisor's streams at once: each has a goroutine, a socket and a file.
const MostReaders = 16

// What those who connect to the control socket may take up.
const (
	mostConnections = 4 * MostReaders
	readerPatience  = time.Minute // how long a reader may leave unread what is sent to it
)

// ownListener accepts only processes of the user that the supervisor runs as. The socket's mode says the same; this
// holds when somebody has changed that.
type ownListener struct{ *net.UnixListener }

// Accept closes the connections of others.
func (l *ownListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if ownPeer(conn) {
			return conn, nil
		}
		_ = conn.Close() // a stranger's
	}
}

// ownPeer asks the kernel who has connected (unix(7), SO_PEERCRED).
func ownPeer(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var (
		peer   *unix.Ucred
		failed error
	)
	err = raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return errors.Join(err, failed) == nil && peer.Uid == uint32(os.Geteuid())
}

// readers admits those who read streams.
type readers struct {
	places   chan struct{}
	patience time.Duration
}

func newReaders(patience time.Duration) readers {
	return readers{places: make(chan struct{}, MostReaders), patience: patience}
}

// admit refuses one more when all places are taken.
func (r readers) admit(serve func(*patientWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		select {
		case r.places <- struct{}{}:
			defer func() { <-r.places }()
			serve(&patientWriter{w, http.NewResponseController(w), r.patience}, req)
		default:
			http.Error(w, "too many readers", http.StatusServiceUnavailable)
		}
	}
}

// patientWriter writes to a client for as long as it reads. One that does not loses its connection.
type patientWriter struct {
	http.ResponseWriter

	control  *http.ResponseController
	patience time.Duration
}

// Write gives the client time to read what is before it.
func (w *patientWriter) Write(b []byte) (int, error) {
	if err := w.control.SetWriteDeadline(time.Now().Add(w.patience)); err != nil {
		return 0, fmt.Errorf("write to reader: %w", err)
	}
	return w.ResponseWriter.Write(b)
}

// Flush hands on what was written.
func (w *patientWriter) Flush() error {
	if err := w.control.SetWriteDeadline(time.Now().Add(w.patience)); err != nil {
		return fmt.Errorf("write to reader: %w", err)
	}
	return w.control.Flush()
}
