package engine_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/vm"
)

// templates are those of a world: any guest can be resumed.
type templates struct{ w *world }

func (t templates) Prepare(ctx context.Context, d vm.Domain) error {
	end, err := t.w.begin(ctx, "prepare "+d.Owner.Guest)
	if err != nil {
		return err
	}
	end()
	return nil
}

func (t templates) Resume(ctx context.Context, d vm.Domain) error {
	end, err := t.w.begin(ctx, "resume "+d.Owner.Guest)
	if err != nil {
		return err
	}
	end()
	return t.w.StartPaused(ctx, d.Name)
}

// A guest whose template does not serve boots, and whoever asked is told. The others are not held up.
func TestColdStart(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fails string
		want  []string
	}{
		"no template can be made": {"prepare pc1", []string{"pc1"}},
		"it cannot be resumed":    {"resume pc2", []string{"pc2"}},
		"all is well":             {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.cfg.Templates = templates{b.world}
			b.before = func(op string) error {
				if op == tc.fails {
					return errFault
				}
				return nil
			}
			var cold []string
			b.cfg.Cold = func(guest string, reason error) {
				cold = append(cold, guest)
				if reason == nil {
					t.Error("no reason was given")
				}
			}
			b.mustUp(t, threeTaps("class", 0))
			if diff := cmp.Diff(tc.want, cold); diff != "" {
				t.Errorf("cold starts (-want +got):\n%s", diff)
			}
			for _, d := range b.domains {
				if d.Run != vm.RunRunning {
					t.Errorf("%s is %v", d.Name, d.Run)
				}
			}
		})
	}
}
