package vm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kvmlab/kvmlab/vm"
)

// The calls that open a guest's console, and those that look after it (remote_protocol.x).
const (
	procXML          = 14
	procLookupByName = 23
	procLookupByUUID = 24
	procOpenConsole  = 201
	procState        = 212
	procGetMetadata  = 265
)

// fakeGuest is a running guest at a daemon that misbehaves as no libvirt does on demand.
type fakeGuest struct {
	*fakeDaemon
	id   atomic.Int32 // libvirt's, of this run
	note atomic.Int32 // of the last who took the console over
	over <-chan struct{}
}

// startFakeGuest starts a daemon with one guest. What its console's stream does when something is typed, the test says.
func startFakeGuest(t *testing.T, stream func(conn net.Conn, call [6]uint32)) *fakeGuest {
	t.Helper()
	g := &fakeGuest{over: t.Context().Done()}
	g.id.Store(1)
	g.fakeDaemon = startFake(t, func(conn net.Conn, call [6]uint32) {
		switch call[2] {
		case procLookupByName, procLookupByUUID:
			id := uuid.Nil
			answer(conn, call, "pc1", id[:], g.id.Load())
		case procXML:
			answer(conn, call, fmt.Sprintf("<domain type='qemu'><name>pc1</name><uuid>%v</uuid><metadata><guest xmlns='%s' "+
				"lab='lab' name='pc1'/></metadata></domain>", uuid.Nil, vm.MetadataURI))
		case procState:
			const running, booted = 1, 1
			reply(conn, call, 0, running, booted)
		case procGetMetadata:
			answer(conn, call, fmt.Sprint(g.note.Load()))
		case procOpenConsole:
			if call[3] == 0 { // the call; what comes later is typed
				reply(conn, call, 0)
			} else {
				stream(conn, call)
			}
		}
	})
	return g
}

// answer replies with values in XDR.
func answer(conn net.Conn, call [6]uint32, values ...any) {
	var body bytes.Buffer
	for _, value := range values {
		text, ok := value.(string)
		if !ok {
			_ = binary.Write(&body, binary.BigEndian, value)
			continue
		}
		_ = binary.Write(&body, binary.BigEndian, uint32(len(text)))
		body.WriteString(text)
		body.Write(make([]byte, -len(text)&3))
	}
	call[3], call[5] = 1, 0
	_, _ = conn.Write(packet(call, body.Bytes()))
}

func packet(head [6]uint32, body []byte) []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.BigEndian, append([]uint32{uint32(28 + len(body))}, head[:]...))
	b.Write(body)
	return b.Bytes()
}

// What a stream's packets can be.
const (
	streamOver   = 0
	streamFailed = 1
	streamGoesOn = 2
)

func streamPacket(call [6]uint32, status uint32, text string) []byte {
	call[3], call[5] = 3, status
	return packet(call, []byte(text))
}

// failure is libvirt's error in XDR: code, domain, a message and a level.
func failure(call [6]uint32) []byte {
	const rpcFailed, fromStreams, present, level = 39, 38, 1, 2
	var body bytes.Buffer
	text := "stream had I/O failure"
	_ = binary.Write(&body, binary.BigEndian, []uint32{rpcFailed, fromStreams, present, uint32(len(text))})
	body.WriteString(text)
	body.Write(make([]byte, -len(text)&3))
	_ = binary.Write(&body, binary.BigEndian, uint32(level))
	return streamPacket(call, streamFailed, body.String())
}

// open opens the guest's console for the length of the test.
func (g *fakeGuest) open(t *testing.T, stall time.Duration) io.ReadWriteCloser {
	t.Helper()
	conn, err := vm.Dial(t.Context(), g.uri())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	vm.SetLimits(conn, stall, 100*time.Millisecond)
	console, err := conn.Console(limit(t), "pc1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = console.Close() })
	if _, err := io.WriteString(console, "begin"); err != nil {
		t.Fatal(err)
	}
	return console
}

// readAll reads a console to its end, and closes it when ctx ends before.
func readAll(ctx context.Context, t *testing.T, console io.ReadCloser) (string, error) {
	t.Helper()
	stop := context.AfterFunc(ctx, func() { _ = console.Close() })
	defer stop()
	text, err := io.ReadAll(console)
	if ctx.Err() != nil {
		t.Fatalf("the console did not end; it gave %.200q", text)
	}
	return string(text), err
}

// However a stream ends, even more than once or not at all, its console does, with the reason.
func TestConsoleEnds(t *testing.T) {
	const patience = time.Hour
	for name, c := range map[string]struct {
		stream func(g *fakeGuest, conn net.Conn, call [6]uint32)
		want   error // io.EOF is the guest's end
		says   string
	}{
		"the guest's end": {func(_ *fakeGuest, conn net.Conn, call [6]uint32) {
			_, _ = conn.Write(append(streamPacket(call, streamGoesOn, "bye"), streamPacket(call, streamGoesOn, "")...))
		}, io.EOF, "bye"},
		"an end that is confirmed": {func(_ *fakeGuest, conn net.Conn, call [6]uint32) {
			_, _ = conn.Write(append(streamPacket(call, streamGoesOn, "bye"), streamPacket(call, streamOver, "")...))
		}, io.EOF, "bye"},
		"two ends, one after the other": {func(_ *fakeGuest, conn net.Conn, call [6]uint32) {
			_, _ = conn.Write(append(streamPacket(call, streamGoesOn, ""), streamPacket(call, streamOver, "")...))
		}, io.EOF, ""},
		"an error after the end": {func(_ *fakeGuest, conn net.Conn, call [6]uint32) {
			_, _ = conn.Write(append(streamPacket(call, streamGoesOn, ""), failure(call)...))
		}, io.EOF, ""},
		"output after an error": {func(g *fakeGuest, conn net.Conn, call [6]uint32) {
			g.note.Add(1)
			_, _ = conn.Write(append(failure(call), streamPacket(call, streamGoesOn, "late")...))
		}, vm.ErrConsoleTaken, ""},
		"taken over by another program": {func(_ *fakeGuest, conn net.Conn, call [6]uint32) {
			_, _ = conn.Write(failure(call))
		}, vm.ErrConsoleTaken, ""},
		"taken over by another program, and nobody says so": {func(g *fakeGuest, _ net.Conn, _ [6]uint32) {
			<-g.over // what is typed stays where it is
		}, vm.ErrConsoleTaken, ""},
		"taken over, and nobody says so": {func(g *fakeGuest, conn net.Conn, call [6]uint32) {
			_, _ = conn.Write(streamPacket(call, streamGoesOn, "half a li"))
			g.note.Add(1)
		}, vm.ErrConsoleTaken, "half a li"},
		"a guest that ended, and nobody says so": {func(g *fakeGuest, conn net.Conn, call [6]uint32) {
			_, _ = conn.Write(streamPacket(call, streamGoesOn, "half a li"))
			g.id.Store(-1)
		}, io.EOF, "half a li"},
		"an error, and another run of the guest": {func(g *fakeGuest, conn net.Conn, call [6]uint32) {
			g.id.Add(1)
			_, _ = conn.Write(failure(call))
		}, io.EOF, ""},
		"a daemon that dies": {func(_ *fakeGuest, conn net.Conn, call [6]uint32) {
			_, _ = conn.Write(streamPacket(call, streamGoesOn, "half a li"))
			_ = conn.Close()
		}, vm.ErrUnreachable, "half a li"},
		"half a packet": {func(_ *fakeGuest, conn net.Conn, call [6]uint32) {
			_, _ = conn.Write(streamPacket(call, streamGoesOn, "half a li")[:30])
			_ = conn.Close()
		}, vm.ErrUnreachable, ""},
		"a packet without end": {func(_ *fakeGuest, conn net.Conn, _ [6]uint32) {
			_ = binary.Write(conn, binary.BigEndian, [7]uint32{1<<32 - 1})
		}, vm.ErrUnreachable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var g *fakeGuest
			g = startFakeGuest(t, func(conn net.Conn, call [6]uint32) { c.stream(g, conn, call) })
			console := g.open(t, patience)
			got, err := readAll(limit(t), t, console)
			if got != c.says || !errors.Is(err, c.want) && (err != nil || !errors.Is(c.want, io.EOF)) {
				t.Errorf("read %q, %v, want %q, %v", got, err, c.says, c.want)
			}
			if _, err := console.Write([]byte("x")); err == nil {
				t.Error("typing on a console that is over is no error")
			}
		})
	}
}

// A console that nobody reads ends, and so does a Close of it at any moment.
func TestConsoleUnread(t *testing.T) {
	flood := func(conn net.Conn, call [6]uint32) {
		lines := streamPacket(call, streamGoesOn, strings.Repeat("all work and no play\r\n", 1000))
		for {
			if _, err := conn.Write(lines); err != nil {
				return
			}
		}
	}
	t.Run("for too long", func(t *testing.T) {
		g := startFakeGuest(t, flood)
		console := g.open(t, 50*time.Millisecond)
		for ctx := limit(t); ; {
			if _, err := console.Write([]byte("x")); errors.Is(err, vm.ErrConsoleStalled) {
				break
			} else if err != nil || ctx.Err() != nil {
				t.Fatalf("typing: %v, %v, want ErrConsoleStalled", err, ctx.Err())
			}
		}
		if _, err := readAll(limit(t), t, console); !errors.Is(err, vm.ErrConsoleStalled) {
			t.Errorf("reading: %v, want ErrConsoleStalled", err)
		}
	})
	t.Run("and closed", func(t *testing.T) {
		console := startFakeGuest(t, flood).open(t, time.Hour)
		await(limit(t), t, console, "no play")
		if err := console.Close(); err != nil {
			t.Error(err)
		}
	})
}
