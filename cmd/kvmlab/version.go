package main

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// packageVersion is the version of the package that the program is part of. scripts/package has the linker set it; it is
// empty in every other build.
var packageVersion string

// versionInfo is what `kvmlab version -o json` prints. It comes from what the Go linker stamps into the binary.
type versionInfo struct {
	Kvmlab   string `json:"kvmlab"`             // the package's version, the module's, or "devel"
	Commit   string `json:"commit,omitempty"`   // the commit that it was built from
	Time     string `json:"time,omitempty"`     // that commit's time, RFC 3339
	Modified bool   `json:"modified,omitempty"` // built from a changed checkout
	Go       string `json:"go"`
	Platform string `json:"platform"` // for example linux/amd64
}

func newVersionCmd(a *app) *cobra.Command {
	cmd := a.command("version", "version")
	cmd.Args = a.maxArgs(0)
	cmd.RunE = func(*cobra.Command, []string) error {
		return runVersion(a, buildVersion(readBuild()))
	}
	return cmd
}

func runVersion(a *app, info versionInfo) error {
	if a.wantsJSON() {
		return a.printJSON(info)
	}
	commit := cmp.Or(info.Commit, "-")
	if info.Modified {
		commit += "+"
	}
	a.Outf("%s\n", a.T("version.text", "version", info.Kvmlab, "commit", commit,
		"go", info.Go, "platform", info.Platform))
	return nil
}

// readBuild is what was stamped into this program; nil when nothing was.
func readBuild() *debug.BuildInfo {
	info, _ := debug.ReadBuildInfo()
	return info
}

// buildVersion reads the build information; info may be nil.
func buildVersion(info *debug.BuildInfo) versionInfo {
	v := versionInfo{Kvmlab: cmp.Or(packageVersion, "devel"), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return v
	}
	if packageVersion == "" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Kvmlab = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			v.Commit = setting.Value[:min(12, len(setting.Value))]
		case "vcs.time":
			v.Time = setting.Value
		case "vcs.modified":
			v.Modified = setting.Value == "true"
		}
	}
	return v
}
