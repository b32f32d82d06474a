package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// liar is a guest agent that lies. It answers like the real one but for what a lie replaces.
type liar struct {
	port  *os.File
	end   time.Time
	reply map[string]func(arguments map[string]any) any // by command; nil answers as an honest agent would
	raw   func(l *liar, command string) error           // instead of any answer
	sync  any                                           // the number of the last synchronisation
}

// agentLies take over the guest agent's port. Each lasts for the time of a flood, and gives the port back.
var agentLies = []attack{
	{"agent/silent", "never answers", lie(&liar{raw: func(*liar, string) error { return nil }})},
	{
		"agent/endless-octets", "answers with octets without an end and without a line",
		lie(&liar{raw: func(l *liar, _ string) error { return l.spout(strings.Repeat("x", 4096)) }}),
	},
	{
		"agent/endless-lines", "answers with objects without an end",
		lie(
			&liar{raw: func(l *liar, _ string) error { return l.spout(strings.Repeat("{\"return\":{}}\n", 300)) }},
		),
	},
	{
		"agent/wrong-identifier", "answers each synchronisation with another's number",
		lie(&liar{reply: answers{"guest-sync": value(7), "guest-sync-delimited": value(7)}}),
	},
	{
		"agent/not-json", "answers with words that are no JSON",
		lie(&liar{raw: func(l *liar, _ string) error { return l.write("}{ <html>\x00\xff\xff[[[,\n") }}),
	},
	{
		"agent/deep-json", "answers with 100000 lists in lists",
		lie(&liar{reply: answers{"guest-exec": raw(strings.Repeat("[", 100000) + strings.Repeat("]", 100000))}}),
	},
	{"agent/wrong-types", "answers with other kinds of values than were asked for", lie(&liar{reply: answers{
		"guest-exec": raw(
			`{"pid":"../../etc/passwd"}`,
		),
		"guest-exec-status": raw(`{"exited":"yes","exitcode":1e99,"out-data":[1]}`),
		"guest-file-open":   raw(`{"x":1}`),
	}})},
	{
		"agent/huge-numbers", "process identifiers, exit statuses and handles beyond all integers",
		lie(&liar{reply: answers{
			"guest-exec": raw(
				`{"pid":` + strings.Repeat("9", 3000) + `}`,
			), "guest-file-open": raw("-9223372036854775808"),
		}}),
	},
	{
		"agent/never-done", "says for ever that a command is running",
		lie(&liar{reply: answers{"guest-exec-status": value(running)}}),
	},
	{
		"agent/endless-file", "a file that has always more: cp until the host's disk is full",
		lie(&liar{reply: answers{"guest-file-read": chunkOf(1 << 20)}}),
	},
	{
		"agent/endless-small-file", "the same in pieces of one octet",
		lie(&liar{reply: answers{"guest-file-read": chunkOf(1)}}),
	},
	{
		"agent/huge-output", "a command whose output is 3 MB in one answer, each time it is asked",
		lie(&liar{reply: answers{"guest-exec-status": status("x", 2<<20)}}),
	},
	{"agent/endless-status", "an exit status that is read without an end", lie(&liar{reply: answers{
		"guest-exec-status": value(running), "guest-file-read": value(chunk(bytes.Repeat([]byte("7"), 1<<20), false)),
	}})},
	{"agent/no-base64", "pieces that are not base64", lie(&liar{reply: answers{
		"guest-file-read": raw(
			`{"count":9,"buf-b64":"!!!!","eof":false}`,
		), "guest-exec-status": raw(`{"exited":true,"exitcode":0,"out-data":"%%%"}`),
	}})},
	{"agent/wrong-counts", "says that other numbers of octets were written or read", lie(&liar{reply: answers{
		"guest-file-write": raw(
			`{"count":-1,"eof":true}`,
		), "guest-file-read": raw(`{"count":99999999,"buf-b64":"","eof":false}`),
	}})},
	{"agent/late", "answers each command after 8 s", lie(&liar{raw: late})},
	{"agent/slow", "answers with an octet a second", lie(&liar{raw: slow})},
	{
		"agent/error-words", "refuses everything with escape sequences",
		lie(&liar{raw: func(l *liar, command string) error {
			if strings.HasPrefix(command, "guest-sync") || command == "guest-ping" {
				return l.honest(command)
			}
			return l.encode(
				map[string]any{
					"error": map[string]any{"class": "GenericError", "desc": strings.ToValidUTF8(worst, "?")},
				},
			)
		}}),
	},
	{
		"agent/huge-error", "refuses everything with words of 3 MB",
		lie(&liar{raw: func(l *liar, command string) error {
			if strings.HasPrefix(command, "guest-sync") || command == "guest-ping" {
				return l.honest(command)
			}
			return l.encode(
				map[string]any{
					"error": map[string]any{"class": "GenericError", "desc": strings.Repeat("\x1b[2Jx", 500000)},
				},
			)
		}}),
	},
	{
		"agent/paths", "answers where a path is expected with paths that lead elsewhere",
		lie(&liar{reply: answers{"guest-exec-status": status("d/../../../../etc/cron.d/x\n\x1b[2J", 1)}}),
	},
	{"agent/false-checksum", "gives a file and another file's checksum", lie(&liar{reply: answers{
		"guest-exec-status": status(strings.Repeat("0", 64)+"  -\n", 1), "guest-file-read": fileOnce(),
	}})},
	{"agent/reopens", "opens and closes its port as often as it can", reopens},
	{"agent/unasked", "talks without having been asked", unasked},
}

// running is a command that has not ended.
var running = map[string]any{"exited": false}

type answers = map[string]func(map[string]any) any

func value(v any) func(map[string]any) any     { return func(map[string]any) any { return v } }
func raw(text string) func(map[string]any) any { return value(json.RawMessage(text)) }

func chunk(data []byte, eof bool) any {
	return map[string]any{"count": len(data), "buf-b64": base64.StdEncoding.EncodeToString(data), "eof": eof}
}

func chunkOf(size int) func(map[string]any) any {
	c := chunk(bytes.Repeat([]byte("A"), size), false)
	return value(c)
}

// fileOnce gives one piece and then the end.
func fileOnce() func(map[string]any) any {
	given := false
	return func(map[string]any) any {
		given = !given
		if given {
			return chunk([]byte("content\n"), false)
		}
		return chunk(nil, true)
	}
}

func status(output string, times int) func(map[string]any) any {
	data := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(output, times)))
	return value(map[string]any{"exited": true, "exitcode": 0, "out-data": data, "err-data": data})
}

// lie takes over the port for as long as a flood lasts.
func lie(l *liar) func(context.Context, *guest) error {
	return func(ctx context.Context, g *guest) error {
		return instead(ctx, g, func(port *os.File, end time.Time) error {
			l.port, l.end = port, end
			return l.serve()
		})
	}
}

const agentPort = "org.qemu.guest_agent.0"

// findPort is the device of the virtio-serial port of that name.
func findPort(name string) (string, error) {
	names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return "", err
	}
	for _, file := range names {
		text, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(text)) == name {
			return "/dev/" + filepath.Base(filepath.Dir(file)), nil
		}
	}
	return "", fmt.Errorf("no port %s", name)
}

// starters are what starts the agent again when it ends: out of the way, there is nothing to start.
var starters = []string{"/lib/kvmlab/agent", "/usr/local/lib/kvmlab/agent"}

// instead ends the real agent, as soon as whoever has started this is done with it, and has lies told in its place. In
// the end the real one is back. It says on the console when it begins, for the host has no other way to know.
func instead(ctx context.Context, g *guest, tell func(port *os.File, end time.Time) error) (err error) {
	name, err := findPort(agentPort)
	if err != nil {
		return err
	}
	// exec leaves nothing behind in /run when it has ended.
	for {
		if left, _ := filepath.Glob("/run/kvmlab-exec-*"); len(left) == 0 {
			break
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	if err := pause(ctx, 300*time.Millisecond); err != nil { // its last word to the agent
		return err
	}
	for _, path := range starters {
		if os.Rename(path, path+".kept") == nil {
			defer func() { err = errors.Join(err, os.Rename(path+".kept", path)) }()
		}
	}
	port, err := seize(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, port.Close()) }()
	defer context.AfterFunc(ctx, func() { _ = port.SetDeadline(time.Now()) })()
	if err := os.WriteFile("/dev/ttyS0", []byte("\r\nattack: "+g.values["word"]+" begins\r\n"), 0); err != nil {
		return err
	}
	err = tell(port, time.Now().Add(g.last))
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.EPIPE) || ctx.Err() != nil {
		return nil
	}
	return err
}

// seize ends whoever has the port open, until it can be opened: it takes one at a time.
func seize(ctx context.Context, name string) (*os.File, error) {
	for {
		// Never blocking, so that a write or a read that the host leaves waiting ends with the time of the attack.
		port, err := os.OpenFile(name, os.O_RDWR|syscall.O_NONBLOCK, 0)
		if err == nil || !errors.Is(err, syscall.EBUSY) {
			return port, err
		}
		endHolders(name)
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// endHolders ends the processes that have a file open.
func endHolders(name string) {
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range open {
		if to, err := os.Readlink(fd); err != nil || to != name {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(fd, "/")[2]); err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// serve answers commands until the time is over. The port gives end of file as long as nobody is connected to it.
func (l *liar) serve() error {
	if err := l.port.SetDeadline(l.end); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(l.port, 256<<10)
	for time.Now().Before(l.end) {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			time.Sleep(20 * time.Millisecond) //nolint:forbidigo // no event tells that the host has connected
			continue
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return err
		}
		var asked struct {
			Execute   string
			Arguments map[string]any
		}
		if json.Unmarshal(bytes.TrimLeft(line, "\xff"), &asked) != nil {
			continue
		}
		if err := l.answer(asked.Execute, asked.Arguments); err != nil {
			return err
		}
	}
	return nil
}

func (l *liar) answer(command string, arguments map[string]any) error {
	if strings.HasPrefix(command, "guest-sync") && l.reply[command] == nil {
		if command == "guest-sync-delimited" {
			if err := l.write("\xff"); err != nil {
				return err
			}
		}
		if l.raw == nil {
			return l.encode(map[string]any{"return": arguments["id"]})
		}
		l.sync = arguments["id"]
	}
	if l.raw != nil {
		return l.raw(l, command)
	}
	if reply := l.reply[command]; reply != nil {
		return l.encode(map[string]any{"return": reply(arguments)})
	}
	return l.honest(command)
}

// honest is what the real agent would answer, if everything were done at once.
func (l *liar) honest(command string) error {
	var said any = map[string]any{}
	switch command {
	case "guest-sync", "guest-sync-delimited":
		said = l.sync
	case "guest-exec":
		said = map[string]any{"pid": 4242}
	case "guest-exec-status":
		said = map[string]any{"exited": true, "exitcode": 0}
	case "guest-file-open":
		said = 1000
	case "guest-file-read":
		said = chunk(nil, true)
	case "guest-file-write":
		said = map[string]any{"count": 0, "eof": false}
	}
	return l.encode(map[string]any{"return": said})
}

func (l *liar) encode(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return l.write(string(text) + "\n")
}

func (l *liar) write(text string) error {
	_, err := io.WriteString(l.port, text)
	return err
}

// spout writes until the time is over.
func (l *liar) spout(text string) error {
	for time.Now().Before(l.end) {
		if err := l.write(text); err != nil {
			return err
		}
	}
	return nil
}

func late(l *liar, command string) error {
	const tooLate = 8 * time.Second
	time.Sleep(tooLate) //nolint:forbidigo // being late is the attack
	return l.honest(command)
}

func slow(l *liar, command string) error {
	id, err := json.Marshal(map[string]any{"return": l.sync})
	if err != nil {
		return err
	}
	for i := range id {
		time.Sleep(time.Second) //nolint:forbidigo // being slow is the attack
		if err := l.write(string(id[i : i+1])); err != nil || time.Now().After(l.end) {
			return err
		}
	}
	return l.write("\n" + command)
}

// reopens makes the host hear of the port again and again.
func reopens(ctx context.Context, g *guest) error {
	return instead(ctx, g, func(port *os.File, end time.Time) error {
		name := port.Name()
		for time.Now().Before(end) {
			if again, err := os.OpenFile(name, os.O_RDWR|syscall.O_NONBLOCK, 0); err == nil {
				_ = again.Close()
			}
			_ = port.Close()
			var err error
			if port, err = os.OpenFile(name, os.O_RDWR|syscall.O_NONBLOCK, 0); err != nil {
				return err
			}
		}
		return nil
	})
}

func unasked(ctx context.Context, g *guest) error {
	return instead(ctx, g, func(port *os.File, end time.Time) error {
		l := &liar{port: port, end: end}
		if err := port.SetDeadline(end); err != nil {
			return err
		}
		return l.spout("{\"return\":{\"pid\":1}}\n{\"event\":\"x\"}\n{\"error\":{\"class\":\"x\",\"desc\":\"y\"}}\n")
	})
}
