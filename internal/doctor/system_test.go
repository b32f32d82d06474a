package doctor

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOlder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		have, minimum string
		want          bool
	}{
		{"9.0.0", "8.0.0", false},
		{"8.0.0", "8.0.0", false},
		{"7.10.0", "8.0.0", true},
		{"10.0", "8.0.0", false},
		{"6", "6.0.0", false},
		{"6.0.0", "6.2.0", true},
		{"", "6.0.0", true},
		{"7.2.13+dfsg", "7.2.0", false},
	} {
		if got := older(test.have, test.minimum); got != test.want {
			t.Errorf("older(%q, %q) = %v", test.have, test.minimum, got)
		}
	}
}

func TestUnmanaged(t *testing.T) {
	t.Parallel()
	for conf, want := range map[string]bool{
		"[keyfile]\nunmanaged-devices=interface-name:br*;interface-name:tap*\n":   true,
		"[keyfile]\nunmanaged-devices = interface-name:br1,mac:02:00:00:00:00:01": true,
		"[keyfile]\nunmanaged-devices=interface-name:=br1":                        true,
		"[keyfile]\nunmanaged-devices=interface-name:virbr*":                      false,
		"[main]\nplugins=keyfile\n":                                               false,
		"# unmanaged-devices=interface-name:br1\n":                                false,
	} {
		if got := unmanaged(conf, "br1"); got != want {
			t.Errorf("unmanaged(%q) = %v, want %v", conf, got, want)
		}
	}
}

func TestHasUdevRule(t *testing.T) {
	t.Parallel()
	lib, etc := t.TempDir(), t.TempDir()
	if hasUdevRule(lib, etc) {
		t.Error("a rule is found where there is none")
	}
	rule, override := filepath.Join(lib, udevRule), filepath.Join(etc, udevRule)
	if err := os.WriteFile(rule, []byte("…\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if !hasUdevRule(lib, etc) {
		t.Error("the package's rule is not found")
	}
	if err := os.Symlink("/dev/null", override); err != nil {
		t.Fatal(err)
	}
	if hasUdevRule(lib, etc) {
		t.Error("a rule that is switched off is taken for one")
	}
}
