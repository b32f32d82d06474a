package main

import (
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/cliui"
)

// one prints an event: as an object on a line of its own, or as a sentence.
func (e *dhcpEvents) one(ev *dhcp.Event) {
	if e.app.wantsJSON() {
		_ = cliui.WriteJSONLine(e.app.Out, *ev) // a reader that is gone ends us by SIGPIPE
		return
	}
	e.app.Outf("%s\n", eventLine(ev))
}

// eventLine is an event as a sentence: when, where, who, what, and why.
func eventLine(ev *dhcp.Event) string {
	words := []string{ev.Time.Local().Format(time.TimeOnly)}
	if ev.Interface != "" {
		words = append(words, ev.Interface)
	}
	if !ev.MAC.IsZero() {
		who := ev.MAC.String()
		if ev.Hostname != "" {
			who += " (" + ev.Hostname + ")"
		}
		words = append(words, who)
	}
	text := ev.Text()
	if ev.Direction == dhcp.In && ev.Type != 0 {
		text = ev.Type.String() + ": " + text
	}
	return strings.Join(append(words, text), " ")
}

// discarded tells whether a stream is the null device (mem(4): character device 1, 3).
func discarded(stream io.Writer) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3)
}

// changedFlags are the names of the flags that were given.
func changedFlags(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().Visit(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}
