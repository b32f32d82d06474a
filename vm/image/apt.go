package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// aptRecord is what apt's lists say about the candidate version of a package.
type aptRecord struct {
	Package

	depends []string // names only, the first of each set of alternatives
}

// aptShow asks apt's lists about packages, without the network, with the host's
// own apt configuration. Errors: ErrNoApt, ErrNoLists.
func aptShow(ctx context.Context, names ...string) ([]aptRecord, error) {
	cmd, err := aptCommand(ctx, "apt-cache", append([]string{"show", "--no-all-versions"}, names...)...)
	if err != nil {
		return nil, err
	}
	out, err := cmd.Output()
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	records := parseRecords(out)
	found := map[string]bool{}
	for _, r := range records {
		found[r.Name] = true
	}
	for _, n := range names {
		if !found[n] {
			return nil, &PackageError{Package: n}
		}
	}
	return records, nil
}

// aptUpdate fetches apt's lists anew. One source of several may fail while the others are fetched: the error says so,
// and whether what is wanted can be had now only trying tells. Errors: ErrNoApt, *FetchError.
func aptUpdate(ctx context.Context) error {
	if err := awaitLists(ctx); err != nil {
		return err
	}
	// Without Error-Mode apt counts an archive that does not answer as a success.
	return aptFetch(ctx, "", "update", "-q", "-o", "APT::Update::Error-Mode=any")
}

// listsPatience is how long another apt may take to fetch the lists. Debian has one do so soon after each start.
const listsPatience = 2 * time.Minute

// awaitLists waits while another process has apt's lists locked: apt-get itself would fail at once. The lock is a POSIX
// record lock, as apt's own code takes it. The error is the context's.
func awaitLists(ctx context.Context) error {
	cmd, err := aptCommand(ctx, "apt-config", "shell", "dir", "Dir::State::lists/d")
	if err != nil {
		return nil //nolint:nilerr // then apt-get tells
	}
	out, err := cmd.Output()
	dir, _ := strings.CutPrefix(strings.TrimSpace(string(out)), "dir=")
	file, openErr := os.Open(filepath.Join(strings.Trim(dir, "'"), "lock"))
	if errors.Join(err, openErr) != nil {
		return ctx.Err() // nobody has fetched any yet
	}
	defer file.Close() //nolint:errcheck // opened to be asked
	for end := time.Now().Add(listsPatience); time.Now().Before(end); {
		lock := unix.Flock_t{Type: unix.F_WRLCK}
		if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, &lock); err != nil || lock.Type == unix.F_UNLCK {
			return nil //nolint:nilerr // then apt-get tells
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lockRetry):
		}
	}
	return nil
}

// aptDownload fetches packages into dir, all in one go. What an earlier run has left there is gone on with. apt checks
// hashes against the signed lists. Errors: ErrNoApt, *FetchError.
func aptDownload(ctx context.Context, dir string, list []Package) error {
	args := []string{"download", "-q", "-o", "APT::Sandbox::User=root"}
	for _, p := range list {
		args = append(args, p.Name+"="+p.Version)
	}
	return aptFetch(ctx, dir, args...)
}

// aptFetch runs an apt-get that talks to the archive.
func aptFetch(ctx context.Context, dir string, args ...string) error {
	cmd, err := aptCommand(ctx, "apt-get", args...)
	if err != nil {
		return err
	}
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &FetchError{Said: aptComplaint(stderr.String()), Err: err}
	}
	return nil
}

// aptFailed begins apt's lines about what it could not fetch, in plain English.
const aptFailed = "E: Failed to fetch "

// aptComplaint is the first error that apt names; its warnings come before, about other things.
func aptComplaint(stderr string) string {
	for line := range strings.Lines(stderr) {
		if said, ok := strings.CutPrefix(line, "E: "); ok {
			return strings.Join(strings.Fields(said), " ")
		}
	}
	return firstLine(stderr)
}

// aptCommand prepares one of apt's programs, in plain English.
func aptCommand(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	program, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", name, errors.Join(ErrNoApt, err))
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	return cmd, nil
}

// parseRecords reads the paragraphs of "apt-cache show" (deb822(5)). A paragraph
// without a hash (installed, but in no list) is passed over.
func parseRecords(text []byte) []aptRecord {
	var records []aptRecord
	for paragraph := range strings.SplitSeq(string(text), "\n\n") {
		var r aptRecord
		for line := range strings.Lines(paragraph) {
			key, value, ok := strings.Cut(line, ":")
			if !ok || strings.HasPrefix(line, " ") {
				continue
			}
			value = strings.TrimSpace(value)
			switch key {
			case "Package":
				r.Name = value
			case "Version":
				r.Version = value
			case "SHA256":
				r.SHA256 = value
			case "Size":
				r.Size, _ = strconv.ParseInt(value, 10, 64)
			case "Depends", "Pre-Depends":
				r.depends = append(r.depends, dependencyNames(value)...)
			}
		}
		if r.Name != "" && r.SHA256 != "" {
			records = append(records, r)
		}
	}
	return records
}

// dependencyNames takes the names out of "a (>= 1), b:any | c".
func dependencyNames(list string) []string {
	var names []string
	for entry := range strings.SplitSeq(list, ",") {
		first, _, _ := strings.Cut(entry, "|")
		first, _, _ = strings.Cut(first, "(")
		first, _, _ = strings.Cut(first, ":")
		if name := strings.TrimSpace(first); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
