package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/userfile"
	"github.com/kvmlab/kvmlab/vm"
)

// cpOptions are what `cp` can be told.
type cpOptions struct {
	app  *app
	lab  string        // --lab
	wait time.Duration // --wait
	max  lab.Size      // --max-size
}

// copyMax is how much cp takes from a guest by default: a capture or a log has far less, and few disks are filled by it.
const copyMax = lab.GiB

// place is one end of a copy: a file of this host, or of a guest.
type place struct {
	guest string // "" for this host
	path  string
}

// copied is what `kvmlab cp -o json` says.
type copied struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Bytes       int64  `json:"bytes"`
	SHA256      string `json:"sha256"`
}

func newCpCmd(a *app) *cobra.Command {
	o := &cpOptions{app: a}
	cmd := a.command("cp SOURCE DESTINATION", "cp")
	cmd.Args = a.exactArgs("SOURCE", "DESTINATION")
	cmd.Flags().StringVar(&o.lab, "lab", "", a.T("console.flag.lab"))
	cmd.Flags().DurationVar(&o.wait, "wait", agentWait, a.T("exec.flag.wait"))
	cmd.Flags().TextVar(&o.max, "max-size", copyMax, a.T("cp.flag.max-size"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		from, to := parsePlace(args[0]), parsePlace(args[1])
		if (from.guest == "") == (to.guest == "") {
			return a.usageError(cmd, "cp.one-guest")
		}
		return o.run(cmd.Context(), from, to)
	}
	return cmd
}

// parsePlace reads "pc1:/etc/hosts" as a guest's file, and what has a slash before any colon, or no colon, as the host's.
func parsePlace(text string) place {
	guest, path, found := strings.Cut(text, ":")
	if !found || guest == "" || strings.Contains(guest, "/") {
		return place{path: text}
	}
	if path == "" {
		path = "." // root's home
	}
	return place{guest: guest, path: path}
}

// String writes the place as it is typed.
func (p place) String() string {
	if p.guest == "" {
		return p.path
	}
	return p.guest + ":" + p.path
}

func (o *cpOptions) run(ctx context.Context, from, to place) (err error) {
	var source *os.File
	if from.guest == "" {
		// Before anything else: a mistake in a path needs no guest to be found.
		if source, err = openSource(from.path); err != nil {
			return err
		}
		defer source.Close() //nolint:errcheck // opened to be read
	}
	way, err := openWayIn(ctx, o.app, "cp", o.lab, from.guest+to.guest, o.wait)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, way.Close()) }()
	var done vm.Copied
	if source != nil {
		done, err = o.into(ctx, way, source, to)
	} else {
		done, err = o.outOf(ctx, way, from, to)
	}
	if err != nil {
		return o.explain(way, from, to, err)
	}
	if o.app.wantsJSON() {
		return o.app.printJSON(copied{Source: from.String(), Destination: to.String(), Bytes: done.Bytes, SHA256: done.SHA256})
	}
	o.app.say("cp.done", "source", from, "destination", to, "size", humanBytes(done.Bytes), "sum", done.SHA256)
	return nil
}

// openSource opens a file of the host that can be copied.
func openSource(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, diag.New(diag.FileUnreadable, diag.Args{"file": path}).Wrap(err)
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = diag.New(diag.CopyDirectory, diag.Args{"path": path})
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// into copies a file of the host into the guest, with its permissions.
func (o *cpOptions) into(ctx context.Context, way *wayIn, source *os.File, to place) (vm.Copied, error) {
	info, err := source.Stat()
	if err != nil {
		return vm.Copied{}, err
	}
	mode := fmt.Sprintf("%04o", info.Mode().Perm())
	return way.agent.Upload(ctx, source, info.Size(), to.path, filepath.Base(source.Name()), mode, o.progress(info.Size()))
}

// outOf copies a guest's file to the host. The file appears when all of it is there.
func (o *cpOptions) outOf(ctx context.Context, way *wayIn, from, to place) (c vm.Copied, err error) {
	path := to.path
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, filepath.Base(from.path))
	}
	// Beside the target, and not in /tmp, which may be the computer's memory.
	file, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)),
		renameio.WithPermissions(0o600), renameio.WithExistingPermissions())
	if err != nil {
		return vm.Copied{}, diag.New(diag.FileUnreadable, diag.Args{"file": path}).Wrap(err)
	}
	defer func() { err = errors.Join(err, file.Cleanup()) }()
	admit := func(size int64) error { return o.admit(from, path, size) }
	if c, err = way.agent.Download(ctx, from.path, file, admit, o.progress(0)); err != nil {
		return c, err
	}
	if err := userfile.Give(file.File, userfile.Invoker(o.app.env)); err != nil {
		return c, err
	}
	return c, file.CloseAtomicallyReplace()
}

// spareRoom is what a copy leaves free of a file system: so much, or a twentieth of it if that is less.
const spareRoom = 256 * lab.MiB

// admit says whether a guest's file may come, by its size, which the guest tells.
func (o *cpOptions) admit(from place, path string, size int64) error {
	if lab.Size(size) > o.max {
		return diag.New(diag.CopyTooLarge, diag.Args{
			"guest": from.guest, "path": from.path, "size": (lab.Size(size) + lab.MiB - 1) / lab.MiB * lab.MiB, "limit": o.max,
		})
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &fs); err != nil {
		return fmt.Errorf("look for room at %s: %w", path, err)
	}
	block := lab.Size(fs.Bsize)
	free, spare := lab.Size(fs.Bavail)*block, min(spareRoom, lab.Size(fs.Blocks)*block/20)
	if lab.Size(size)+spare > free {
		return diag.New(diag.CopyNoRoom, diag.Args{"path": path, "size": humanBytes(size), "free": humanBytes(int64(free))})
	}
	return nil
}

// progress redraws one line on a terminal.
func (o *cpOptions) progress(total int64) func(int64) {
	if !o.app.Live() {
		return nil
	}
	return func(n int64) {
		of := ""
		if total > 0 {
			of = " / " + humanBytes(total)
		}
		o.app.Errf("\r\x1b[K%s%s\r", humanBytes(n), of)
	}
}

func (o *cpOptions) explain(way *wayIn, from, to place, err error) error {
	inGuest := from
	if to.guest != "" {
		inGuest = to
	}
	switch {
	case errors.Is(err, vm.ErrGuestPath):
		return diag.New(diag.GuestPath, diag.Args{"guest": inGuest.guest, "path": inGuest.path}).Wrap(err)
	case errors.Is(err, vm.ErrChecksum):
		return diag.New(diag.CopyDiffers, diag.Args{"source": from.String()}).Wrap(err)
	}
	return way.explain(err)
}

// humanBytes is a size as people read it: exact when small, else in MiB.
func humanBytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d B", n)
	}
	if n%(1<<20) == 0 {
		return lab.Size(n).String()
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
