// Command lyingagent takes the place of the QEMU guest agent in a guest and lies. What it lies about it is told by a word
// "lie=KIND:DETAIL" among the arguments of a command, or in a path; it stays with it until it is told another. KIND is
//
//	answer   what a script prints is the file DETAIL in /root
//	file     a file has DETAIL bytes, and no end
//	slow     a file has DETAIL bytes, and they come one by one
//	status   a command never ends, and its exit status has no end
//	output   a command's output has no end, in one piece
//	pieces   a command's output has no end, in pieces with nothing in them
//	ended    a command has ended, and its output has not
//	forever  a command neither prints nor ends
//	refuse   nothing can be done, in words that act on a terminal
//	form     every answer has another form
//	garbage  no answer is one
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var told = regexp.MustCompile(`lie=([a-z]+):?([a-z0-9]*)`)

type liar struct {
	kind, detail string
	paths        []string // of the files that are open
}

type request struct {
	Execute   string          `json:"execute"`
	Arguments json.RawMessage `json:"arguments"`
}

func main() {
	path := ""
	for i, arg := range os.Args {
		if arg == "-p" {
			path = os.Args[i+1]
		}
	}
	port, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	l := &liar{kind: "forever"}
	in := bufio.NewReaderSize(port, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			os.Exit(1) // whoever started it starts it again
		}
		if line = bytes.TrimLeft(line, "\xff"); len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if _, err := port.Write(append(l.answer(line), '\n')); err != nil {
			os.Exit(1)
		}
	}
}

func returned(v any) []byte {
	text, _ := json.Marshal(map[string]any{"return": v})
	return text
}

const evil = "\x1b[2J\x1b]0;owned\x07\u202eevil\u009b31m"

func (l *liar) answer(line []byte) []byte {
	var r request
	if json.Unmarshal(line, &r) != nil {
		return []byte(`{"error":{"class":"GenericError","desc":"what?"}}`)
	}
	if m := told.FindSubmatch(r.Arguments); m != nil {
		l.kind, l.detail = string(m[1]), string(m[2])
	}
	switch r.Execute {
	case "guest-sync", "guest-sync-delimited":
		var a struct {
			ID json.Number `json:"id"`
		}
		_ = json.Unmarshal(r.Arguments, &a)
		out := returned(a.ID)
		if r.Execute == "guest-sync-delimited" {
			out = append([]byte{0xff}, out...)
		}
		return out
	case "guest-ping":
		return returned(struct{}{})
	}
	switch l.kind {
	case "refuse":
		text, _ := json.Marshal(map[string]any{"error": map[string]string{"class": "GenericError", "desc": evil}})
		return text
	case "form":
		return returned([]any{evil, map[string]int{"pid": 1}})
	case "garbage":
		return bytes.Repeat([]byte("\x1b[2J{"), 1<<20)
	}
	return l.command(r)
}

func (l *liar) command(r request) []byte {
	switch r.Execute {
	case "guest-exec":
		return returned(map[string]int{"pid": 1})
	case "guest-exec-status":
		return returned(l.status())
	case "guest-file-open":
		var a struct{ Path, Mode string }
		_ = json.Unmarshal(r.Arguments, &a)
		none := l.kind == "forever" || l.kind == "status" && !strings.HasSuffix(a.Path, "/status")
		if none {
			return []byte(`{"error":{"class":"GenericError","desc":"no such file"}}`)
		}
		l.paths = append(l.paths, a.Path)
		return returned(len(l.paths))
	case "guest-file-read":
		return returned(l.read(r))
	case "guest-file-write":
		var a struct {
			Data []byte `json:"buf-b64"`
		}
		_ = json.Unmarshal(r.Arguments, &a)
		return returned(map[string]any{"count": len(a.Data), "eof": false})
	default:
		return returned(struct{}{})
	}
}

func (l *liar) status() map[string]any {
	out := ""
	switch l.kind {
	case "answer":
		text, _ := os.ReadFile(filepath.Join("/root", l.detail))
		out = string(text)
	case "file", "slow":
		out = l.detail + "\n/root\n"
	case "ended":
	default:
		return map[string]any{"exited": false}
	}
	return map[string]any{"exited": true, "exitcode": 0, "out-data": []byte(out)}
}

func (l *liar) read(r request) map[string]any {
	var a struct{ Handle, Count int }
	_ = json.Unmarshal(r.Arguments, &a)
	size := a.Count
	switch {
	case l.kind == "slow":
		size = 1
	case l.kind == "pieces":
		size = 0
	case l.kind == "ended" && a.Handle > 0 && a.Handle <= len(l.paths) && strings.HasSuffix(l.paths[a.Handle-1], "/status"):
		return map[string]any{"count": 2, "buf-b64": []byte("0\n"), "eof": true}
	}
	return map[string]any{"count": size, "buf-b64": bytes.Repeat([]byte{'7'}, size), "eof": false}
}
