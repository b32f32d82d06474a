package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
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
			return nil, fmt.Errorf("package %s: %w", n, ErrNoLists)
		}
	}
	return records, nil
}

// aptDownload fetches packages into dir, all in one go. apt checks their hashes
// against the signed lists.
func aptDownload(ctx context.Context, dir string, list []Package) error {
	args := []string{"download", "-q", "-o", "APT::Sandbox::User=root"}
	for _, p := range list {
		args = append(args, p.Name+"="+p.Version)
	}
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
		return fmt.Errorf("download packages: %w: %s", err, firstLine(stderr.String()))
	}
	return nil
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
