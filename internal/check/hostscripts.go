package check

import "github.com/kvmlab/kvmlab/internal/diag"

// HostScript is a script of a scenario that runs on the host, as root.
type HostScript struct {
	// Part says when: start, checks, solution or mistakes.
	Part string   `json:"part"`
	Pos  diag.Pos `json:"-"`
	Line int      `json:"line"`
	Run  string   `json:"run"`
}

// HostScripts lists all that the file would run on the host, in the order of its parts.
func (f *File) HostScripts() []HostScript {
	scripts := []HostScript{}
	add := func(part string, steps []Step) {
		for _, s := range steps {
			if s.Host.Value {
				scripts = append(scripts, HostScript{Part: part, Pos: s.Pos, Line: s.Pos.Line, Run: s.Run.Value})
			}
		}
	}
	add("start", f.Start)
	for _, c := range f.Checks {
		if c.Assert.Host.Value {
			scripts = append(scripts, HostScript{Part: "checks", Pos: c.Pos, Line: c.Pos.Line, Run: c.Assert.Run.Value})
		}
	}
	add("solution", f.Solution)
	for _, m := range f.Mistakes {
		add("mistakes", m.Steps)
	}
	return scripts
}
