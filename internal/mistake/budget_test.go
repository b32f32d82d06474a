package mistake_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/mistake"
)

// What an answer of a guest may cost at most: processor time, and memory in all, of which most is let go at once.
const (
	costTime  = 10 * time.Second
	costBytes = 300 << 20
	// answerSize is how large an answer gets to the host: libvirt passes on 4 MiB, in base64.
	answerSize = 3 << 20
	// bombSize is how much a small archive unpacks to.
	bombSize = 512 << 20
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

// inBudget fails when what a guest sent has cost more than so many octets may.
func inBudget(t *testing.T, size int, read func()) {
	t.Helper()
	if took, bytes := cost(read); took > 3*time.Second || bytes > uint64(64<<20+4096*size) {
		t.Errorf("%d octets take %v and %d MiB", size, took, bytes>>20)
	}
}

// packed is an archive as the script sends it.
func packed(fill func(w *tar.Writer)) string {
	var out bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	w := tar.NewWriter(zip)
	fill(w)
	w.Close()
	zip.Close()
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

// zeros gives as many zeros as are asked for.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func state(sections string) string {
	return "@time 1772445660.5 100.25\n" + sections + "\n@end\n"
}

func repeated(head, unit, tail string) string {
	return head + strings.Repeat(unit, (answerSize-len(head)-len(tail))/len(unit)) + tail
}

// TestReadBudget reads answers that a student's own program could give in place of the script's.
func TestReadBudget(t *testing.T) {
	for name, answer := range map[string]string{
		"a file of zeros without end": state("@files\n" + packed(func(w *tar.Writer) {
			w.WriteHeader(&tar.Header{Name: "/etc/dhcp/dhcpd.conf", Size: bombSize, Typeflag: tar.TypeReg})
			io.CopyN(w, zeros{}, bombSize)
		})),
		"very many files": state("@files\n" + packed(func(w *tar.Writer) {
			for n := range 200_000 {
				w.WriteHeader(&tar.Header{Name: fmt.Sprint("/etc/dhcp/", n), Typeflag: tar.TypeReg})
			}
		})),
		"very many links to nothing": state("@files\n" + packed(func(w *tar.Writer) {
			for n := range 200_000 {
				w.WriteHeader(&tar.Header{Name: fmt.Sprint("/etc/dhcp/", n), Typeflag: tar.TypeSymlink, Linkname: "x"})
			}
		})),
		"no base64":                state("@files\n" + repeated("", "!", "")),
		"empty links":              state("@links\n" + repeated("[", "{},", "{}]")),
		"addresses":                state("@links\n" + repeated(`[{"addr_info":[`, "{},", "{}]}]")),
		"brackets":                 state("@links\n" + repeated("", "[", "")),
		"lists of links":           state("@links\n" + repeated("", "[{}]\n", "")),
		"sockets":                  state("@udp\n" + repeated("", "a a a 1.1.1.1:1\n", "")),
		"packet sockets":           state("@packet\n" + repeated("", "a a a a *:a\n", "")),
		"units":                    state("@units\n" + repeated("", "Id=a\n\n", "")),
		"processes":                state("@processes\n" + repeated("", "1 1 AA==\n", "")),
		"a process's command line": state("@processes\n1 1 " + base64.StdEncoding.EncodeToString(make([]byte, 2<<20))),
		"the journal":              state("@journal\n" + repeated("", "1.5 a b[1]: c\n", "")),
		"a number that is none":    state("@processes\n" + repeated("", "x", " 1 AA==")),
		"a time that is none":      "@time " + repeated("", "x", " 1\n") + "@end\n",
		"a section's name":         "@" + repeated("", "\x1b", "") + "\n@links\nx\n@end\n",
		"no end":                   "@time 1 1\n@links\n[]\n",
		"nothing":                  "",
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			took, bytes := cost(func() { _, err = mistake.Parse([]byte(answer)) })
			if took > costTime || bytes > costBytes {
				t.Errorf("it takes %v and %d MiB", took, bytes>>20)
			}
			if err != nil && (!errors.Is(err, mistake.ErrNonsense) || len(err.Error()) > 200 || strings.Contains(err.Error(), "\x1b")) {
				t.Errorf("error: %.300q", err)
			}
			if err == nil && name != "no base64" && !strings.Contains(name, "none") {
				t.Error("no error")
			}
		})
	}
}

// TestFindBudget looks for causes in files that are made to cost as much as they can.
func TestFindBudget(t *testing.T) {
	fill := func(unit string) string { return strings.Repeat(unit, 256<<10/len(unit)) }
	half := func(a, b string) string {
		return strings.Repeat(a, 64<<10/len(a)) + strings.Repeat(b, 64<<10/len(b))
	}
	numbered := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i, i)
		}
		return b.String()
	}
	const any = "subnet 192.0.0.0 netmask 255.0.0.0 {}\n"
	const ours = "subnet 192.168.1.0 netmask 255.255.255.0 {}\n"
	dhcpd := map[string]string{
		"subnets":                fill(any),
		"our subnets":            fill(ours),
		"subnets and hosts":      half(any, "host a{fixed-address 192.168.1.3;}\n"),
		"subnets and words":      half(any, "a;"),
		"subnets and pools":      "shared-network x {" + half(any, "pool{range 192.168.1.2;}\n") + "}",
		"ranges in one":          "subnet 192.168.1.0 netmask 255.255.255.0 {" + fill("range 192.168.1.2;\n") + "}",
		"options":                fill("option a b;\n"),
		"options by other words": numbered("option a%d b%d;\n", 12000),
		"words":                  numbered("rang%d x%d;\n", 12000),
		"one long word":          fill("range"),
		"long words":             numbered("authoritativ%d"+strings.Repeat("e", 200)+" %d;\n", 1000),
		"blocks in blocks":       strings.Repeat("subnet 192.168.1.0 netmask 255.255.255.0 {", 6000),
		"braces":                 fill("{"),
		"times":                  fill("max-lease-time 10m;\n"),
	}
	dnsmasq := map[string]string{
		"ranges":              fill("dhcp-range=192.168.1.2,192.168.1.3\n"),
		"ranges and options":  half("dhcp-range=192.168.1.2,192.168.1.3\n", "dhcp-option=3,1.1.1.1\n"),
		"ranges and hosts":    half("dhcp-range=192.168.1.2,192.168.1.3\n", "dhcp-host=02:00:00:00:00:01,192.168.1.3\n"),
		"fields":              "dhcp-option=" + fill("option:x,"),
		"words":               numbered("dhcp-rang%d=%d\n", 12000),
		"the whole directory": fill("conf-dir=/etc/dnsmasq.d\n"),
		"interfaces":          fill("interface=eth9\n"),
		"one long word":       fill("dhcp"),
	}
	kea := map[string]string{
		"subnets and options":     `{"Dhcp4":{"subnet4":[` + strings.Repeat(`{"subnet":"192.168.1.0/24"},`, 2500) + `],"option-data":[` + strings.Repeat(`{"name":"x"},`, 3000) + `]}}`,
		"subnets and our options": `{"Dhcp4":{"subnet4":[` + strings.Repeat(`{"subnet":"192.168.1.0/24"},`, 2500) + `],"option-data":[` + strings.Repeat(`{"name":"routers","data":"1.1.1.1,1.1.1.1"},`, 2000) + `]}}`,
		"reservations":            `{"Dhcp4":{"reservations":[` + strings.Repeat(`{"ip-address":"192.168.1.3"},`, 8000) + `]}}`,
		"keys":                    `{"Dhcp4":{` + strings.Repeat(`"subnet":1,`, 20000) + `}}`,
		"interfaces":              `{"Dhcp4":{"interfaces-config":{"interfaces":[` + strings.Repeat(`"x",`, 60000) + `]}}}`,
		"brackets":                fill("["),
		"keys without values":     fill(`{"a":`),
	}
	check := func(name, path, text string, program mistake.Program) {
		t.Run(name, func(t *testing.T) {
			seen, want := well(), task()
			want.Reservations, want.Authoritative, want.Lease = reservation(), true, time.Minute
			want.Programs = []mistake.Program{program}
			seen.Files[path] = mistake.File{Text: text, Modified: clock}
			if strings.Contains(name, "directory") {
				for n := range 500 {
					seen.Files[fmt.Sprintf("/etc/dnsmasq.d/%d", n)] = mistake.File{Text: text}
				}
			}
			var found diag.List
			took, bytes := cost(func() { found = mistake.Find(seen, want) })
			if took > costTime || bytes > costBytes {
				t.Errorf("it takes %v and %d MiB", took, bytes>>20)
			}
			if len(found) > 60 {
				t.Errorf("%d findings", len(found))
			}
		})
	}
	for name, text := range dhcpd {
		check("dhcpd/"+name, dhcpdConf, text, mistake.ISC)
	}
	for name, text := range dnsmasq {
		check("dnsmasq/"+name, "/etc/dnsmasq.conf", text, mistake.Dnsmasq)
	}
	for name, text := range kea {
		check("kea/"+name, keaConf, text, mistake.Kea)
	}
	t.Run("files beside the right one", func(t *testing.T) {
		seen, want := well(), task()
		delete(seen.Files, dhcpdConf)
		for n := range 64 {
			seen.Files[fmt.Sprintf("/etc/dhcp/dhcp%d.conf", n)] = mistake.File{Text: strings.Repeat(fmt.Sprintf("include \"/etc/dhcp/dhcp%d.conf\";\n", (n+1)%64), 8000)}
		}
		took, bytes := cost(func() { mistake.Find(seen, want) })
		if took > costTime || bytes > 5*costBytes {
			t.Errorf("it takes %v and %d MiB", took, bytes>>20)
		}
	})
}
