package main

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
)

// TestAdmit is what may come out of a guest by the size that it tells.
func TestAdmit(t *testing.T) {
	from := place{guest: "pc1", path: "/root/x"}
	for _, test := range []struct {
		size int64
		max  lab.Size
		want diag.Code
	}{
		{0, copyMax, ""},
		{1 << 20, copyMax, ""},
		{1<<30 + 1, copyMax, diag.CopyTooLarge},
		{1 << 62, copyMax, diag.CopyTooLarge},
		{1 << 50, 1 << 60, diag.CopyNoRoom},
		{1<<63 - 1, 1<<64 - 1, diag.CopyNoRoom},
	} {
		o := &cpOptions{max: test.max}
		err := o.admit(from, filepath.Join(t.TempDir(), "x"), test.size)
		var d *diag.Diagnostic
		if errors.As(err, &d) != (test.want != "") || d != nil && d.Code != test.want {
			t.Errorf("%d of %v: %v, want %s", test.size, test.max, err, test.want)
		}
	}
}
