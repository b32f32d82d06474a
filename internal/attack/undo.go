package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// undoFile is where attacks note what they have done to a guest's files, a line each, for `attack undo`.
const undoFile = "/run/attack/undo"

// deed is one thing to take back: a path that was not there, or was moved to Kept; or a command of the shell.
type deed struct{ Path, Kept, Shell string }

func remember(d deed) error {
	line, err := json.Marshal(
		struct{ Path, Kept, Shell []byte }{[]byte(d.Path), []byte(d.Kept), []byte(d.Shell)},
	) // no text: names may be anything
	if err != nil {
		return err
	}
	if err := os.MkdirAll("/run/attack", 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(undoFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// aside moves what is at a path out of the way.
func aside(path string) error {
	kept := fmt.Sprintf("/root/.kept-%x", path)
	if _, err := os.Lstat(kept); err == nil {
		return os.RemoveAll(path) // what is there is an attack's
	}
	_, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return remember(deed{Path: path})
	}
	return errors.Join(remember(deed{Path: path, Kept: kept}), os.Rename(path, kept))
}

// put writes a file in the place of what is there.
func put(path, content string) error {
	if err := errors.Join(aside(path), os.MkdirAll(path[:strings.LastIndexByte(path, '/')+1], 0o755)); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

// replace puts a script in the place of a program.
func replace(path, script string) error {
	return errors.Join(put(path, script), os.Chmod(path, 0o755))
}

// undo takes everything back, the newest first.
func undo(ctx context.Context) error {
	text, err := os.ReadFile(undoFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range slices.Backward(lines) {
		var d struct{ Path, Kept, Shell []byte }
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			return err
		}
		if len(d.Shell) > 0 {
			err = errors.Join(err, exec.CommandContext(ctx, "/bin/sh", "-c", string(d.Shell)).Run())
			continue
		}
		err = errors.Join(err, os.RemoveAll(string(d.Path)))
		if len(d.Kept) > 0 {
			err = errors.Join(err, os.Rename(string(d.Kept), string(d.Path)))
		}
	}
	return errors.Join(err, os.Remove(undoFile))
}
