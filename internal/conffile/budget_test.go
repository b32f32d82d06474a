package conffile_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/conffile"
)

// What a document of a guest may cost at most: processor time, and memory in all. A file has at most 256 KiB.
const (
	fileSize  = 256 << 10
	costTime  = 5 * time.Second
	costBytes = 160 << 20
)

// cost runs do and gives its processor time and what it has allocated in all.
func cost(do func()) (time.Duration, uint64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	clock := func() time.Duration {
		var use syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_THREAD, &use)
		return time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := clock()
	do()
	took := clock() - begin
	runtime.ReadMemStats(&after)
	return took, after.TotalAlloc - before.TotalAlloc
}

// fan is files that each name all of the next generation: few octets, and more files with each of them.
func fan(main, form string) map[string]string {
	files := map[string]string{}
	name := func(generation, n int) string {
		if generation == 0 {
			return main
		}
		return fmt.Sprintf("/etc/x/%d-%d", generation, n)
	}
	for generation := range 12 {
		for n := range 4 {
			text := ""
			for next := range 4 {
				text += fmt.Sprintf(form, name(generation+1, next)) + "\n" + fmt.Sprintf(form, name(generation+1, next)) + "\n"
			}
			files[name(generation, n)] = text
		}
	}
	for n := range 4 {
		files[name(12, n)] = strings.Repeat("x y\n", 10000)
	}
	return files
}

// many is main and hundreds of files beside it that all have the same text.
func many(main, text string) map[string]string {
	files := map[string]string{main: text}
	for n := range 500 {
		files[fmt.Sprintf("/etc/x/%d.conf", n)] = text
	}
	return files
}

func filled(text string) string { return strings.Repeat(text, fileSize/len(text)) }

// TestBudget gives the parsers what would have them work for hours.
func TestBudget(t *testing.T) {
	one := func(text string) map[string]string { return map[string]string{"f": text} }
	type bomb struct {
		format conffile.Format
		files  map[string]string
	}
	bombs := map[string]bomb{
		"include fans out":         {conffile.DHCPDFormat, fan("f", `include "%s";`)},
		"conf-file fans out":       {conffile.DnsmasqFormat, fan("f", `conf-file=%s`)},
		"source fans out":          {conffile.InterfacesFormat, fan("f", `source %s`)},
		"source of everything":     {conffile.InterfacesFormat, many("f", filled("source /etc/x/*\n"))},
		"source of many patterns":  {conffile.InterfacesFormat, many("f", "source "+filled("/etc/x/*a*a*a*a* "))},
		"source of a long pattern": {conffile.InterfacesFormat, many("f", "source /etc/"+filled("*a"))},
		"conf-dir of everything":   {conffile.DnsmasqFormat, many("f", filled("conf-dir=/etc/x\n"))},
		"conf-dir of many endings": {conffile.DnsmasqFormat, many("f", filled("conf-dir=/etc/x,"+strings.Repeat("*.a,", 2000)+"\n"))},
		"include of nothing":       {conffile.DHCPDFormat, one(filled(`include "x";`))},
		"include of itself":        {conffile.DHCPDFormat, one(filled(`include "f";`))},
	}
	for _, text := range []string{
		"{", "}", "{}", "a{", "a{b;}", ";", "a;", "a\n", "a ", "(", "é", "é ", "\"", "\" ", "\r", " ", "\t}", ",", "=,", "[", "[[],", "[1,",
		`{"a":`, `{"a":1,`, "1,", ":", "#", "a=b\n", "a =\n", "iface x\n", "auto x\n", "source x\n", "conf-dir=x\n", "\\", "\xff", "/*", "<?",
		"subnet 1.0.0.0 netmask 255.0.0.0 {", "option routers 1.1.1.1;", "shared-network a { subnet", "range 1.1.1.1\n",
	} {
		for format := conffile.DHCPDFormat; format <= conffile.DefaultsFormat; format++ {
			bombs[fmt.Sprintf("%q as format %d", text, format)] = bomb{format, one(filled(text))}
			bombs[fmt.Sprintf("%q in one line as format %d", text, format)] = bomb{format, one(strings.ReplaceAll(filled(text), "\n", " ") + "é")}
		}
	}
	for name, b := range bombs {
		t.Run(name, func(t *testing.T) {
			took, bytes := cost(func() {
				document := conffile.Parse(b.format, "f", b.files)
				for _, path := range []string{"subnet 1.0.0.0/option routers", "a/b", "a.b", "a[*].b[*]"} {
					_, _ = document.Lookup(path)
				}
			})
			if took > costTime || bytes > costBytes {
				t.Errorf("it takes %v and %d MiB", took, bytes>>20)
			}
		})
	}
}

// TestTooMuch looks at how a document that costs too much is told from one that is read to its end.
func TestTooMuch(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("group {\n", n) + strings.Repeat("}\n", n) }
	array := func(n int) string { return strings.Repeat("[", n) + "1" + strings.Repeat("]", n) }
	hosts := ""
	for n := range 1000 {
		hosts += fmt.Sprintf("host pc%d { hardware ethernet 02:00:00:00:%02x:%02x; fixed-address 10.0.%d.%d; }\n", n, n/256, n%256, n/256, n%256)
	}
	for name, tt := range map[string]struct {
		format conffile.Format
		files  map[string]string
		want   bool
	}{
		"a thousand reservations": {conffile.DHCPDFormat, map[string]string{"f": hosts}, false},
		"blocks in blocks":        {conffile.DHCPDFormat, map[string]string{"f": deep(60)}, false},
		"too many of them":        {conffile.DHCPDFormat, map[string]string{"f": deep(100)}, true},
		"arrays in arrays":        {conffile.KeaFormat, map[string]string{"f": array(60)}, false},
		"too many arrays":         {conffile.KeaFormat, map[string]string{"f": array(100)}, true},
		"includes":                {conffile.DHCPDFormat, fan("f", `include "%s";`), true},
		"conf-files":              {conffile.DnsmasqFormat, fan("f", `conf-file=%s`), true},
		"sources":                 {conffile.InterfacesFormat, fan("f", `source %s`), true},
		"a file of lines":         {conffile.DnsmasqFormat, map[string]string{"f": filled("a=b\n")}, true},
		"a file of assignments":   {conffile.DefaultsFormat, map[string]string{"f": filled("a=b\n")}, true},
		"a file of comments":      {conffile.DnsmasqFormat, map[string]string{"f": filled("# a comment of Debian's\n")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			problems := problemsOf(conffile.Parse(tt.format, "f", tt.files))
			got := slices.ContainsFunc(problems, func(p conffile.Problem) bool { return p.Kind == conffile.TooMuch })
			if got != tt.want || got && problems[0].Kind != conffile.TooMuch || got && problems[0].Pos.IsZero() {
				t.Errorf("too much: %v, want %v: %.3v", got, tt.want, problems)
			}
		})
	}
}

func problemsOf(d conffile.Document) []conffile.Problem {
	switch d := d.(type) {
	case *conffile.DHCPD:
		return d.Problems
	case *conffile.KeaFile:
		return d.Problems
	case *conffile.DnsmasqFile:
		return d.Problems
	case *conffile.InterfacesFile:
		return d.Problems
	case *conffile.DefaultsFile:
		return d.Problems
	}
	panic("no such document")
}
