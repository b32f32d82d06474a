package dhcp_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// others makes TestConformanceOthers try the cases on the other servers, and write what came of it.
var others = flag.String("others", "", "try the conformance cases on other DHCP servers: write the table, or check it")

const (
	tableFile  = "../docs/dhcp-conformance.md"
	tableBegin = "<!-- table: written by go test ./dhcp -run TestConformanceOthers -others write -->\n"
	tableEnd   = "<!-- end of table -->\n"
)

// verdict is what came of a case on a server.
type verdict struct {
	mark string // "yes", "no", "–"
	why  string
}

func verdictOf(err error) verdict {
	var unsupported *unsupportedError
	var failed *failureError
	switch {
	case err == nil:
		return verdict{mark: "yes"}
	case errors.As(err, &unsupported):
		return verdict{"–", unsupported.Error()}
	case errors.As(err, &failed):
		return verdict{"no", strings.TrimSpace(failed.text)}
	}
	return verdict{"?", err.Error()}
}

// tryOther tries a case on another server. What failed is tried once more with much time: on a busy machine, a late
// answer is not to be held against anybody.
func tryOther(t *testing.T, c conformanceCase, o otherServer) verdict {
	t.Helper()
	if v := verdictOf(c.on(t, o, 3*time.Second)); v.mark == "yes" || v.mark == "–" {
		return v
	}
	return verdictOf(c.on(t, o, patient))
}

// TestConformanceOthers tries every case on every server, kvmlab among them, and writes docs/dhcp-conformance.md, or
// checks that it says the same. It takes a minute, and so does nothing without -others.
func TestConformanceOthers(t *testing.T) {
	if *others == "" {
		return // TestConformance and TestConformancePage have kvmlab's own share in every run
	}
	servers := otherServers()
	for _, o := range servers {
		nstest.RequireCommand(t, o.command)
	}
	cases := allCases()
	results := make([][]verdict, len(cases))
	t.Run("cases", func(t *testing.T) {
		for i, c := range cases {
			results[i] = make([]verdict, 1+len(servers))
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				results[i][0] = verdictOf(c.on(t, kvmlab{}, patient))
				var wg sync.WaitGroup
				for j, o := range servers {
					wg.Go(func() { results[i][1+j] = tryOther(t, c, o) })
				}
				wg.Wait()
			})
		}
	})
	for i, c := range cases {
		for j, v := range results[i] {
			if v.mark == "?" {
				t.Errorf("%s on server %d: %s", c.name, j, v.why)
			}
		}
	}
	table := conformanceTable(cases, servers, results)
	page, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	before, after := aroundTable(t, string(page))
	if *others == "write" {
		if err := os.WriteFile(tableFile, []byte(before+table+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(page), before+table+after); diff != "" {
		t.Errorf("%s is not what the servers do now (- written, + now):\n%s", tableFile, diff)
	}
}

// aroundTable returns what is before and behind the table.
func aroundTable(t *testing.T, page string) (before, after string) {
	t.Helper()
	i, j := strings.Index(page, tableBegin), strings.Index(page, tableEnd)
	if i < 0 || j < i {
		t.Fatalf("%s has no marks around its table", tableFile)
	}
	return page[:i+len(tableBegin)], page[j:]
}

// conformanceTable writes the table, and why an answer is no, in notes below it.
func conformanceTable(cases []conformanceCase, servers []otherServer, results [][]verdict) string {
	var table, notes strings.Builder
	header := []string{"case", "required behaviour", "RFC", "kvmlab"}
	for _, o := range servers {
		header = append(header, o.title())
	}
	fmt.Fprintf(&table, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat("---|", len(header)))
	sums := make([]int, 1+len(servers))
	n := 0
	for i, c := range cases {
		row := []string{"`" + c.name + "`", c.rule, c.rfc}
		for j, v := range results[i] {
			if v.mark == "yes" {
				sums[j]++
			}
			cell := v.mark
			if v.why != "" {
				n++
				cell += fmt.Sprintf(" [%d]", n)
				fmt.Fprintf(&notes, "%d. `%s`, %s: %s\n", n, c.name, header[3+j], v.why)
			}
			row = append(row, cell)
		}
		fmt.Fprintf(&table, "| %s |\n", strings.Join(row, " | "))
	}
	row := []string{"", "rows with yes, of " + fmt.Sprint(len(cases)), ""}
	for _, sum := range sums {
		row = append(row, fmt.Sprint(sum))
	}
	fmt.Fprintf(&table, "| %s |\n", strings.Join(row, " | "))
	return table.String() + "\nNotes:\n\n" + notes.String()
}

var versionNumber = regexp.MustCompile(`\d+\.\d+[.\w-]*`)

// title is the server's name and version.
func (o otherServer) title() string {
	out, _ := exec.Command(o.command, o.version...).CombinedOutput()
	return o.name + " " + versionNumber.FindString(string(out))
}

// TestConformancePage compares the page's rows with the cases that TestConformance tries, and wants kvmlab to pass all.
func TestConformancePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	before, after := aroundTable(t, string(page))
	table := strings.TrimSuffix(strings.TrimPrefix(string(page), before), after)
	var got, want []string
	for line := range strings.SplitSeq(table, "\n") {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `") && len(cells) > 3 {
			got = append(got, strings.Join(cells[:4], " | "))
		}
	}
	for _, c := range allCases() {
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | yes", c.name, c.rule, c.rfc))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s does not have the rows that are tested; write it anew (-want +got):\n%s", tableFile, diff)
	}
}
