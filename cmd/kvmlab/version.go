package main

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is what `kvmlab version -o json` prints. It comes from what the Go linker stamps into the binary.
type versionInfo struct {
	Kvmlab   string `json:"kvmlab"`             // the module's version, or "devel"
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
		info, _ := debug.ReadBuildInfo()
		return runVersion(a, buildVersion(info))
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

// buildVersion reads the build information; info may be nil.
func buildVersion(info *debug.BuildInfo) versionInfo {
	v := versionInfo{Kvmlab: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
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
