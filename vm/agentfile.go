package vm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/untrusted"
)

// How much of a file one command carries, in bytes. libvirt passes on answers
// of up to 4 MiB (VIR_NET_MESSAGE_STRING_MAX), and base64 adds a third; but a
// command that does not fit into the socket buffer to QEMU, some 200 KiB, never
// arrives (seen with libvirt 9.0).
const (
	readChunk  = 1 << 20
	writeChunk = 64 << 10
)

var (
	// ErrChecksum means that a file arrived otherwise than it was sent.
	ErrChecksum = errors.New("the copy has another SHA-256")
	// ErrGuestPath means a path in the guest that is not there, or not of the kind that is needed.
	ErrGuestPath = errors.New("no such file in the guest")
	// ErrSlow means that something took longer than it does in the slowest guest.
	ErrSlow = errors.New("the guest does not go on")
)

const (
	// copyStart and copyRate are how long a copy may take: what is to be done for each, and in octets per second. A
	// guest without hardware virtualisation on a busy host has ten times as many.
	copyStart = 3 * time.Minute
	copyRate  = 32 << 10
	// pseudoFile is how much is read of a file that says it has nothing, as those of /proc do.
	pseudoFile = 16 << 20
)

// copyLimit is how long a copy of so many bytes may take.
func copyLimit(size int64) time.Duration {
	return copyStart + time.Duration(size/copyRate)*time.Second
}

// Copied is a file that was copied into a guest or out of it.
type Copied struct {
	Bytes  int64
	SHA256 string // in hex; the same at both ends
}

// handle is an open file in the guest.
type handle struct {
	agent *Agent
	id    int
}

// open opens a file in the guest, in a mode of fopen(3).
func (a *Agent) open(ctx context.Context, name, mode string) (*handle, error) {
	h := &handle{agent: a}
	arguments := struct {
		Path string `json:"path"`
		Mode string `json:"mode"`
	}{name, mode}
	if err := a.call(ctx, "guest-file-open", arguments, &h.id); err != nil {
		return nil, err
	}
	return h, nil
}

// chunk is the agent's answer to guest-file-read.
type chunk struct {
	Data []byte `json:"buf-b64"`
	EOF  bool   `json:"eof"`
}

// read gives up to readChunk bytes; none at the present end of the file. Errors: ErrNonsense.
func (h *handle) read(ctx context.Context) (chunk, error) {
	var got chunk
	err := h.agent.call(ctx, "guest-file-read", struct {
		Handle int `json:"handle"`
		Count  int `json:"count"`
	}{h.id, readChunk}, &got)
	if err == nil && len(got.Data) > readChunk {
		err = fmt.Errorf("%w: %d bytes for the %d that it was asked for", ErrNonsense, len(got.Data), readChunk)
	}
	return got, err
}

// write writes all of p, which is at most writeChunk long.
func (h *handle) write(ctx context.Context, p []byte) error {
	var done struct {
		Count int `json:"count"`
	}
	err := h.agent.call(ctx, "guest-file-write", struct {
		Handle int    `json:"handle"`
		Data   []byte `json:"buf-b64"`
	}{h.id, p}, &done)
	if err == nil && done.Count != len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// close flushes and closes. It has time of its own: a file that stays open in
// the agent is only closed with the agent.
func (h *handle) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	return h.agent.call(ctx, "guest-file-close", struct {
		Handle int `json:"handle"`
	}{h.id}, nil)
}

// Upload copies size bytes of src into the guest's file name, which is replaced only when all
// of it has arrived with the right checksum. A name that is a directory, or
// ends in a slash, gets the file base in it. mode is chmod's, such as "0644".
// progress, if set, is called with the bytes so far. Errors: ErrGuestPath for a
// directory that is not there, ErrChecksum, ErrSlow, *AgentError (no room, most often).
func (a *Agent) Upload(ctx context.Context, src io.Reader, size int64, name, base, mode string, progress func(int64)) (c Copied, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, copyLimit(size), ErrSlow)
	defer cancel()
	defer func() { err = slowed(ctx, err) }()
	name, err = a.target(ctx, name, base)
	if err != nil {
		return Copied{}, err
	}
	part := name + ".kvmlab-part"
	defer func() {
		if err != nil {
			// What is there is not whole; the first error tells more than that it could not be removed.
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
			_, _ = a.Output(clean, `rm -f -- "$1"`, part)
			cancel()
		}
	}()
	c, poured, err := a.pour(ctx, src, size, part, progress)
	if err == nil && !poured {
		c, err = a.fill(ctx, io.LimitReader(src, size), part, progress)
	}
	if err != nil {
		return Copied{}, fmt.Errorf("copy to %s: %w", name, err)
	}
	const place = `sum=$(sha256sum <"$1") && echo "$sum" && if [ "${sum%% *}" = "$4" ]; then chmod "$3" "$1" && mv -f -- "$1" "$2"; fi`
	sum, err := a.Output(ctx, place, part, name, mode, c.SHA256)
	if err != nil {
		return Copied{}, fmt.Errorf("copy to %s: %w", name, err)
	}
	if got, _, _ := strings.Cut(sum, " "); got != c.SHA256 {
		return Copied{}, fmt.Errorf("copy to %s: %w: %s, sent %s", name, ErrChecksum, got, c.SHA256)
	}
	return c, nil
}

// target is the file that a copy to name makes.
func (a *Agent) target(ctx context.Context, name, base string) (string, error) {
	said, err := a.Output(ctx, `cd "${HOME:-/root}"; if [ -d "$1" ]; then cd "$1"; echo "d$PWD"; else cd "$(dirname -- "$1")" 2>&1 && echo "f$PWD"; fi`, name)
	said = strings.TrimSpace(said)
	_, failed := errors.AsType[*ScriptError](err)
	switch {
	case failed:
		return "", fmt.Errorf("%w: %s", ErrGuestPath, path.Dir(name))
	case err != nil:
		return "", fmt.Errorf("look for %s: %w", name, err)
	case said == "":
		return "", fmt.Errorf("look for %s: %w: no path", name, ErrNonsense)
	case strings.HasPrefix(said, "d"):
		return path.Join(said[1:], base), nil
	case strings.HasSuffix(name, "/"):
		return "", fmt.Errorf("%w: %s", ErrGuestPath, name)
	}
	return path.Join(said[1:], path.Base(name)), nil
}

// fill writes src to a new file in the guest.
func (a *Agent) fill(ctx context.Context, src io.Reader, name string, progress func(int64)) (c Copied, err error) {
	h, err := a.open(ctx, name, "w")
	if err != nil {
		return Copied{}, err
	}
	defer func() { err = errors.Join(err, h.close(ctx)) }()
	sum := sha256.New()
	buffer := make([]byte, writeChunk)
	for {
		n, readErr := io.ReadFull(src, buffer)
		if n > 0 {
			if err := h.write(ctx, buffer[:n]); err != nil {
				return Copied{}, err
			}
			sum.Write(buffer[:n])
			c.Bytes += int64(n)
			tell(progress, c.Bytes)
		}
		switch {
		case readErr == nil:
		case errors.Is(readErr, io.EOF), errors.Is(readErr, io.ErrUnexpectedEOF):
			c.SHA256 = hexOf(sum)
			return c, nil
		default:
			return Copied{}, readErr
		}
	}
}

// slowed gives an error that came of a context's own limit the limit's name.
func slowed(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), ErrSlow) && !errors.Is(err, ErrSlow) {
		return fmt.Errorf("%w: %w", ErrSlow, err)
	}
	return err
}

// Download copies the guest's file name to dst, and compares checksums: one of
// a file that changes meanwhile differs. admit is asked first whether so many bytes may come, and its error is
// returned; no more than that come. Errors: ErrGuestPath, ErrChecksum, ErrSlow, ErrNonsense.
func (a *Agent) Download(ctx context.Context, name string, dst io.Writer, admit func(size int64) error, progress func(int64)) (c Copied, err error) {
	whole, size, err := a.locate(ctx, name)
	if err != nil {
		return Copied{}, err
	}
	if err := admit(size); err != nil {
		return Copied{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, copyLimit(size), ErrSlow)
	defer cancel()
	defer func() { err = slowed(ctx, err) }()
	limit := size
	if limit == 0 {
		limit = pseudoFile
	}
	if c, err = a.drain(ctx, whole, dst, limit, progress); err != nil {
		if errors.Is(err, untrusted.ErrTooMuch) {
			err = fmt.Errorf("%w: it has become larger", ErrChecksum)
		}
		return Copied{}, fmt.Errorf("copy from %s: %w", name, err)
	}
	sum, err := a.Output(ctx, `sha256sum <"$1"`, whole)
	if err != nil {
		return Copied{}, fmt.Errorf("copy from %s: %w", name, err)
	}
	if got, _, _ := strings.Cut(sum, " "); got != c.SHA256 {
		return Copied{}, fmt.Errorf("copy from %s: %w: %s, there it is %s", name, ErrChecksum, c.SHA256, got)
	}
	return c, nil
}

// locate finds a plain file of the guest: its whole path, and how large it is.
func (a *Agent) locate(ctx context.Context, name string) (whole string, size int64, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, copyStart, ErrSlow)
	defer cancel()
	said, err := a.Output(ctx, `cd "${HOME:-/root}"; [ -f "$1" ] && stat -L -c %s -- "$1" && cd "$(dirname -- "$1")" && echo "$PWD"`, name)
	if _, failed := errors.AsType[*ScriptError](err); failed {
		return "", 0, fmt.Errorf("%w: %s", ErrGuestPath, name)
	}
	if err != nil {
		return "", 0, slowed(ctx, fmt.Errorf("look for %s: %w", name, err))
	}
	length, dir, _ := strings.Cut(said, "\n")
	size, err = strconv.ParseInt(length, 10, 64)
	if err != nil || size < 0 {
		return "", 0, fmt.Errorf("look for %s: %w: no size", name, ErrNonsense)
	}
	return path.Join(strings.TrimSuffix(dir, "\n"), path.Base(name)), size, nil
}

// drain reads a file of the guest to its end. Errors: untrusted.ErrTooMuch when there are more than limit bytes; of them
// none is written that is over it.
func (a *Agent) drain(ctx context.Context, name string, dst io.Writer, limit int64, progress func(int64)) (c Copied, err error) {
	h, err := a.open(ctx, name, "r")
	if err != nil {
		return Copied{}, err
	}
	defer func() { err = errors.Join(err, h.close(ctx)) }()
	sum := sha256.New()
	for {
		got, err := h.read(ctx)
		if err != nil {
			return Copied{}, err
		}
		if c.Bytes+int64(len(got.Data)) > limit {
			return Copied{}, fmt.Errorf("%w: over %d bytes", untrusted.ErrTooMuch, limit)
		}
		if _, err := dst.Write(got.Data); err != nil {
			return Copied{}, err
		}
		sum.Write(got.Data)
		c.Bytes += int64(len(got.Data))
		tell(progress, c.Bytes)
		if got.EOF || len(got.Data) == 0 {
			c.SHA256 = hexOf(sum)
			return c, nil
		}
	}
}

func tell(progress func(int64), n int64) {
	if progress != nil {
		progress(n)
	}
}

func hexOf(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
