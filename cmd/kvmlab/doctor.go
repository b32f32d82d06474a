package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/doctor"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/scenarios"
	"github.com/kvmlab/kvmlab/vm"
)

const (
	// qemuOverhead is what QEMU takes beside a guest's memory, most of it translated code; in bytes.
	qemuOverhead = uint64(64 * lab.MiB)
	// labDisk is room for the micro image, its packages, and a class's logs and leases; in bytes.
	labDisk = uint64(256 * lab.MiB)
)

func newDoctorCmd(a *app) *cobra.Command {
	var class int
	var again bool
	scenario := scenarios.Default
	cmd := a.command("doctor", "doctor")
	cmd.Args = a.maxArgs(0)
	cmd.Flags().BoolVar(&again, "again", false, a.T("doctor.flag.again"))
	cmd.Flags().IntVar(&class, "class", 0, a.T("doctor.flag.class"))
	cmd.Flags().StringVar(&scenario, "scenario", scenario, a.T("doctor.flag.scenario"))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("class") && class < 1 {
			return a.usageError(cmd, "doctor.class.none")
		}
		if again {
			if err := forget(cmd.Context(), a); err != nil {
				return err
			}
		}
		if class > 0 {
			return runDoctorClass(cmd.Context(), a, class, scenario)
		}
		needs, err := defaultLabNeeds(a)
		if err != nil {
			return err
		}
		return runDoctor(cmd.Context(), a, &doctor.Doctor{
			Host: doctor.System{
				URI: a.global.connect, Images: a.images(), AccelFile: a.dirs.AccelFile(),
				Trying: func(bool) {
					if !a.wantsJSON() {
						a.say("doctor.probing")
					}
				},
			},
			Say: a.T,
			Lab: needs,
		})
	}
	return cmd
}

// forget forgets what this host was found to be capable of.
func forget(ctx context.Context, a *app) error {
	if os.Geteuid() != 0 {
		return diag.New(diag.NotRoot, diag.Args{"command": "kvmlab doctor --again"})
	}
	return errors.Join(vm.ForgetProbe(ctx, a.dirs.AccelFile()), vm.ForgetFailures(a.dirs.TemplatesDir()))
}

// runDoctor shows every finding as soon as it is there, and ends with status 4 when labs cannot come up.
func runDoctor(ctx context.Context, a *app, d *doctor.Doctor) error {
	each := func(f doctor.Finding) { writeFinding(a, f) }
	if a.wantsJSON() {
		each = nil
	}
	findings, err := d.Examine(ctx, each)
	if err != nil {
		return err
	}
	ready, failed := doctor.Ready(findings)
	if a.wantsJSON() {
		err := a.printJSON(struct {
			Ready    bool             `json:"ready"`
			Findings []doctor.Finding `json:"findings"`
		}{ready, findings})
		if err != nil {
			return err
		}
	}
	if !ready {
		notReady := diag.New(diag.HostNotReady, diag.Args{"count": failed})
		if a.wantsJSON() {
			return &shownError{notReady}
		}
		a.Outf("\n")
		return notReady
	}
	if !a.wantsJSON() {
		a.Outf("\n")
		a.Outf("%s\n", a.T("doctor.ready"))
	}
	return nil
}

// writeFinding prints a finding: how it stands, what was seen, what mends it.
func writeFinding(a *app, f doctor.Finding) {
	style := a.OutStyle()
	word := a.T("doctor.status." + f.Status.String())
	painted := word
	switch f.Status {
	case doctor.OK:
		painted = style.Good(word)
	case doctor.Warning:
		painted = style.Warn(word)
	case doctor.Failed:
		painted = style.Bad(word)
	case doctor.Skipped:
		painted = style.Faint(word)
	}
	const wordWidth = 9 // the longest in any language, and one more
	margin := fmt.Sprintf("%*s", wordWidth, "")
	seen, hint := f.Seen, ""
	if f.Status == doctor.Skipped {
		seen = f.Check + ": " + seen
	}
	if f.Problem != nil {
		seen, hint = a.language().Say(f.Problem)
		seen += " [" + string(f.Problem.Code) + "]"
	}
	a.writeIndented(painted+margin[min(ansi.StringWidth(word), wordWidth-1):], margin, seen)
	if f.Problem == nil {
		return
	}
	if f.Problem.Cause != nil {
		a.writeIndented(margin, margin, a.T("doctor.cause", "cause", a.language().Phrase(f.Problem.Cause.Error())))
	}
	if f.Fix != "" {
		a.Outf("%s\n", margin+a.T("doctor.fix", "command", f.Fix)) // not wrapped: it is there to be copied
	} else if hint != "" {
		a.writeIndented(margin, margin, hint)
	}
}

// writeIndented prints text with a margin, wrapped to the width of Out.
func (a *app) writeIndented(first, margin, text string) {
	width, _ := a.Size()
	a.Outf("%s\n", first+cliui.Wrap(text, min(width, maxHelpWidth), margin))
}

// defaultLabNeeds says what the lab of `kvmlab up` will ask of the host.
func defaultLabNeeds(a *app) (doctor.LabNeeds, error) {
	needs := doctor.LabNeeds{StateDir: a.dirs.State, RunDir: a.dirs.Run, Disk: labDisk, URI: a.global.connect}
	file, src, err := scenarios.LabFile(scenarios.Default)
	if err != nil {
		return needs, err
	}
	spec, err := lab.Parse(file, src)
	if err != nil {
		return needs, err
	}
	l, err := lab.Resolve(spec, lab.ResolveOptions{Random: rand.Reader})
	if err != nil {
		return needs, err
	}
	needs.Name = l.Name
	for _, bridge := range l.Bridges {
		needs.Links = append(needs.Links, bridge.Name)
		if bridge.Address != (netip.Prefix{}) {
			needs.Subnets = append(needs.Subnets, bridge.Address)
		}
	}
	needs.Bridge = l.Bridges[0].Name
	for _, guest := range l.Guests {
		needs.Memory += uint64(guest.Memory) + qemuOverhead
		needs.Image = guest.Image
		for _, nic := range guest.NICs {
			needs.Links = append(needs.Links, nic.Tap)
		}
	}
	return needs, nil
}
