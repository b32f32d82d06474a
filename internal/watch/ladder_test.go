package watch_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

var update = flag.Bool("update", false, "write the golden files anew")

// records reads testdata/classroom.pcap: udhcpc, dhclient and dhcpcd getting leases from dnsmasq.
func records(tb testing.TB) ([]*watch.Record, *watch.Follower) {
	tb.Helper()
	file, err := os.Open(filepath.Join("testdata", "classroom.pcap"))
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	reader, err := capture.NewReader(file)
	if err != nil {
		tb.Fatal(err)
	}
	follower := watch.NewFollower(watch.NewNames())
	var all []*watch.Record
	for {
		frame, err := reader.Next()
		if err != nil {
			return all, follower
		}
		all = append(all, follower.Next(capture.Decode(frame)))
	}
}

// languages says messages and phrases, as the program does.
type languages struct {
	*cliui.Messages
	*diag.Language
}

func speaker(tb testing.TB, lang string) languages {
	tb.Helper()
	messages, err := cliui.LoadMessages(lang)
	if err != nil {
		tb.Fatal(err)
	}
	phrases, err := diag.LoadLanguage(lang)
	if err != nil {
		tb.Fatal(err)
	}
	return languages{messages, phrases}
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

// TestScreens keeps the screens as golden text, after the keys that lead to them.
func TestScreens(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lang          string
		width, height int
		live, ascii   bool
		keys          string // separated by spaces
	}{
		"ladder-80x24":      {width: 80, height: 24, keys: "down down down"},
		"ladder-200x50":     {width: 200, height: 50, keys: "down down down"},
		"ladder-live":       {width: 80, height: 24, live: true},
		"ladder-paused":     {width: 80, height: 24, live: true, keys: "space"},
		"ladder-ascii":      {width: 80, height: 24, ascii: true},
		"ladder-es":         {lang: "es", width: 80, height: 24, keys: "n n"},
		"ladder-60x20":      {width: 60, height: 20, keys: "down down down"},
		"ladder-44x12":      {width: 44, height: 12, lang: "es", keys: "down down down"},
		"ladder-40x10":      {width: 40, height: 10, lang: "ca", keys: "down down down"},
		"ladder-28x6":       {width: 28, height: 6, keys: "down down down"},
		"layers-40x10":      {width: 40, height: 10, lang: "es", keys: "down enter down down"},
		"help-40x10":        {width: 40, height: 10, keys: "?"},
		"ladder-ca":         {lang: "ca", width: 100, height: 30, keys: "end"},
		"ladder-station":    {width: 80, height: 24, keys: "f f"},
		"ladder-everything": {width: 80, height: 24, keys: "a end"},
		"layers-80x24":      {width: 80, height: 24, keys: "down enter tab tab tab down down down down down down down down down"},
		"layers-200x50":     {width: 200, height: 50, keys: "down enter end up up up"},
		"help-80x24":        {width: 80, height: 24, keys: "?"},
		"explain-packet":    {lang: "es", width: 80, height: 24, keys: "down e"},
		"explain-field":     {lang: "ca", width: 80, height: 24, keys: "down enter e"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, follower := records(t)
			ladder := watch.NewLadder(watch.LadderOptions{
				Say: speaker(t, test.lang), Title: "three-taps", Names: follower.Names, ASCII: test.ascii, Live: test.live,
			})
			ladder.Resize(test.width, test.height)
			for _, r := range all {
				ladder.Add(r)
			}
			ladder.Tick(all[len(all)-1].Time.Add(2 * time.Minute))
			for key := range strings.FieldsSeq(test.keys) {
				if ladder.Key(key) {
					t.Fatalf("the key %s ends the ladder", key)
				}
			}
			lines := ladder.View()
			if len(lines) != test.height {
				t.Errorf("%d lines on a screen of %d", len(lines), test.height)
			}
			for i, line := range lines {
				if ansi.StringWidth(line) > test.width {
					t.Errorf("line %d is %d cells wide", i+1, ansi.StringWidth(line))
				}
			}
			golden(t, name+".golden", strings.Join(lines, "\n")+"\n")
		})
	}
}

// TestKeys: stepping pauses, space goes on with what happens, q leaves; no key at any moment is a panic.
func TestKeys(t *testing.T) {
	t.Parallel()
	all, follower := records(t)
	keys := ladderKeys
	ladder := watch.NewLadder(watch.LadderOptions{Say: speaker(t, "en"), Title: "x", Names: follower.Names, Live: true})
	for _, first := range keys { // also with nothing to show
		for _, second := range keys {
			ladder.Key(first)
			ladder.Key(second)
			ladder.View()
		}
	}
	for i, r := range all {
		ladder.Add(r)
		ladder.Resize(60+7*i, 5+2*i)
		for _, first := range keys {
			for _, second := range keys {
				ladder.Key(first)
				ladder.Key(second)
				if got := len(ladder.View()); got != 5+2*i {
					t.Fatalf("%d lines on a screen of %d after %s and %s", got, 5+2*i, first, second)
				}
			}
		}
	}
	ladder.Key("esc")
	if !ladder.Key("q") {
		t.Error("q does not leave")
	}
}
