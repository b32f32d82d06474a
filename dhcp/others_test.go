package dhcp_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// otherServer is somebody else's server, started as a process with a configuration that says what a case needs.
type otherServer struct {
	name    string
	command string   // the program
	version []string // arguments that make it tell its version
	ready   string   // in the line that it logs when it listens
	// prepare writes configuration and lease files into a directory and returns the program's arguments.
	prepare func(dir string, set setup) (args, env []string, err error)
}

func otherServers() []otherServer {
	return []otherServer{
		{name: "Kea", command: "kea-dhcp4", version: []string{"-v"}, ready: "DHCP4_STARTED", prepare: prepareKea},
		{
			name: "dnsmasq", command: "dnsmasq", version: []string{"--version"}, ready: "sockets bound exclusively",
			prepare: prepareDnsmasq,
		},
		{
			name: "ISC dhcpd", command: "dhcpd", version: []string{"--version"}, ready: "Sending on   Socket/fallback",
			prepare: prepareDhcpd,
		},
	}
}

// otherProcess is such a server at work.
type otherProcess struct {
	w     *wire
	start func() *exec.Cmd
	ready string
	cmd   *exec.Cmd
}

func (o otherServer) start(tb testing.TB, w *wire, set setup) (running, error) {
	tb.Helper()
	dir := tb.TempDir()
	args, env, err := o.prepare(dir, set)
	if err != nil {
		return nil, err
	}
	p := &otherProcess{w: w, ready: o.ready, start: func() *exec.Cmd {
		cmd := w.servers.Command(context.Background(), o.command, args...)
		cmd.Env = append(os.Environ(), env...)
		return cmd
	}}
	if err := p.run(); err != nil {
		return nil, err
	}
	tb.Cleanup(p.kill)
	return p, nil
}

func (p *otherProcess) run() error {
	p.cmd = p.start()
	return launch(p.cmd, p.ready)
}

func (p *otherProcess) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *otherProcess) restart(testing.TB) error { p.kill(); return p.run() }
func (p *otherProcess) pass(d time.Duration)     { time.Sleep(d) }
func (p *otherProcess) ring() *dhcp.EventRing    { return nil }

// launch starts a command and waits until it has written a line that contains a text.
func launch(cmd *exec.Cmd, ready string) error {
	r, out, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Start()
	_ = out.Close()
	if err != nil {
		_ = r.Close()
		return err
	}
	if err := waitForLine(r, ready); err != nil {
		_ = r.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return err
	}
	return nil
}

// waitForLine reads lines until one contains a text, and goes on reading behind the scenes so that nobody blocks.
func waitForLine(r *os.File, text string) error {
	if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	lines := bufio.NewScanner(r)
	var said []string
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			_ = r.SetReadDeadline(time.Time{})
			go func() {
				defer r.Close()
				for lines.Scan() {
				}
			}()
			return nil
		}
		said = append(said, lines.Text())
	}
	return fmt.Errorf("no line with %q (%w):\n%s", text, lines.Err(), strings.Join(said, "\n"))
}

func writeFile(dir, name, text string) (path string, err error) {
	path = filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

func colonHex(b []byte) string {
	var out []string
	for _, c := range b {
		out = append(out, fmt.Sprintf("%02x", c))
	}
	return strings.Join(out, ":")
}

// prepareKea writes a configuration for Kea 2.2. It handles messages one after the other, so that the canary of a
// stage tells when it is through with what came before.
func prepareKea(dir string, set setup) (args, env []string, err error) {
	switch {
	case set.rapidCommit:
		return nil, nil, &unsupportedError{"rapid commit"}
	case set.noAutoConf:
		return nil, nil, &unsupportedError{"option 116"}
	case set.probe:
		return nil, nil, &unsupportedError{"probing"}
	}
	type object = map[string]any
	first, last := set.pool()
	data := func(code int, value []byte) object {
		return object{"code": code, "csv-format": false, "data": hex.EncodeToString(value)}
	}
	options := []object{
		data(3, serverIP.AsSlice()), data(6, serverIP.AsSlice()), data(15, []byte("aula.lan")),
	}
	for _, o := range set.options {
		options = append(options, data(int(o.Code), o.Value))
	}
	if set.v6Only > 0 {
		s := uint32(set.v6Only / time.Second)
		options = append(options, data(108, []byte{byte(s >> 24), byte(s >> 16), byte(s >> 8), byte(s)}))
	}
	lease := int(set.leaseTime() / time.Second)
	class := object{
		"id": 1, "subnet": "192.168.1.0/24", "pools": []object{{"pool": first + " - " + last}}, "option-data": options,
		"valid-lifetime": lease,
	}
	if set.minimum > 0 {
		class["min-valid-lifetime"], class["max-valid-lifetime"] = int(set.minimum/time.Second), int(set.maximum/time.Second)
	}
	behind := func(id int, net string) object {
		return object{
			"id": id, "subnet": net + "0/24", "pools": []object{{"pool": net + "100 - " + net + "200"}},
			"option-data": []object{data(3, ip(net+"100").AsSlice())},
		}
	}
	text, err := json.Marshal(object{"Dhcp4": object{
		"interfaces-config":   object{"interfaces": []string{"br1"}},
		"lease-database":      object{"type": "memfile", "persist": true, "name": filepath.Join(dir, "leases.csv")},
		"multi-threading":     object{"enable-multi-threading": false},
		"authoritative":       set.authoritative,
		"calculate-tee-times": true,
		"subnet4":             []object{class, behind(2, "10.9.0."), behind(3, "10.10.0.")},
		"loggers": []object{{
			"name": "kea-dhcp4", "severity": "INFO", "output_options": []object{{"output": "stdout", "flush": true}},
		}},
	}})
	if err != nil {
		return nil, nil, err
	}
	path, err := writeFile(dir, "kea.json", string(text))
	return []string{"-c", path}, []string{"KEA_PIDFILE_DIR=" + dir, "KEA_LOCKFILE_DIR=" + dir}, err
}

// prepareDhcpd writes a configuration for ISC dhcpd 4.4.
func prepareDhcpd(dir string, set setup) (args, env []string, err error) {
	switch {
	case set.rapidCommit:
		return nil, nil, &unsupportedError{"rapid commit"}
	case set.noAutoConf:
		return nil, nil, &unsupportedError{"option 116"}
	}
	var b bytes.Buffer
	first, last := set.pool()
	lease := int(set.leaseTime() / time.Second)
	if !set.authoritative {
		b.WriteString("not ")
	}
	fmt.Fprintf(&b, "authoritative;\nping-check %t;\ndhcp-cache-threshold 0;\ndefault-lease-time %d;\n", set.probe, lease)
	low, high := lease, lease
	if set.minimum > 0 {
		low, high = int(set.minimum/time.Second), int(set.maximum/time.Second)
	}
	fmt.Fprintf(&b, "min-lease-time %d;\nmax-lease-time %d;\n", low, high)
	options := set.options
	if set.v6Only > 0 {
		s := uint32(set.v6Only / time.Second)
		options = append(options, dhcp.Option{Code: 108, Value: []byte{byte(s >> 24), byte(s >> 16), byte(s >> 8), byte(s)}})
	}
	for _, o := range options {
		if o.Code != 108 { // it has a name already
			fmt.Fprintf(&b, "option case-%d code %d = string;\n", o.Code, o.Code)
		}
	}
	fmt.Fprintf(&b, "subnet 192.168.1.0 netmask 255.255.255.0 {\n  range %s %s;\n", first, last)
	b.WriteString("  option routers 192.168.1.1;\n  option domain-name-servers 192.168.1.1;\n")
	b.WriteString("  option domain-name \"aula.lan\";\n")
	for _, o := range options {
		if o.Code == 108 {
			fmt.Fprintf(&b, "  option v6-only-preferred %d;\n", int(set.v6Only/time.Second))
			continue
		}
		fmt.Fprintf(&b, "  option case-%d %s;\n", o.Code, colonHex(o.Value))
	}
	b.WriteString("}\n")
	for _, net := range []string{"10.9.0.", "10.10.0."} {
		fmt.Fprintf(&b, "subnet %s0 netmask 255.255.255.0 {\n  range %s100 %s200;\n  option routers %s100;\n}\n", net, net,
			net, net)
	}
	conf, err := writeFile(dir, "dhcpd.conf", b.String())
	if err != nil {
		return nil, nil, err
	}
	leases, err := writeFile(dir, "dhcpd.leases", "")
	return []string{"-f", "-4", "-cf", conf, "-lf", leases, "-pf", filepath.Join(dir, "pid"), "br1"}, nil, err
}

// prepareDnsmasq writes a configuration for dnsmasq 2.90.
func prepareDnsmasq(dir string, set setup) (args, env []string, err error) {
	switch {
	case set.noAutoConf:
		return nil, nil, &unsupportedError{"option 116"}
	case set.lease > 0 && set.lease < 2*time.Minute:
		return nil, nil, &unsupportedError{"leases under two minutes"}
	case set.minimum > 0:
		return nil, nil, &unsupportedError{"a least and a greatest lease time"}
	}
	var b bytes.Buffer
	first, last := set.pool()
	fmt.Fprintf(&b, "port=0\ninterface=br1\nbind-interfaces\nuser=root\nlog-facility=-\nlog-dhcp\n")
	fmt.Fprintf(&b, "dhcp-leasefile=%s\npid-file=%s\n", filepath.Join(dir, "leases"), filepath.Join(dir, "pid"))
	fmt.Fprintf(&b, "dhcp-range=set:class,%s,%s,255.255.255.0,%d\n", first, last, int(set.leaseTime()/time.Second))
	for _, net := range []string{"10.9.0.", "10.10.0."} {
		fmt.Fprintf(&b, "dhcp-range=%s100,%s200,255.255.255.0,600\n", net, net)
	}
	fmt.Fprintf(&b, "dhcp-option=tag:class,3,192.168.1.1\ndhcp-option=tag:class,6,192.168.1.1\ndomain=aula.lan\n")
	for _, o := range set.options {
		if len(o.Value) > 255 {
			return nil, nil, &unsupportedError{"options of over 255 octets"}
		}
		fmt.Fprintf(&b, "dhcp-option=tag:class,%d,%s\n", o.Code, colonHex(o.Value))
	}
	if set.v6Only > 0 {
		fmt.Fprintf(&b, "dhcp-option=tag:class,108,%s\n", "00:00:07:08")
	}
	for on, line := range map[string]bool{
		"dhcp-authoritative": set.authoritative, "dhcp-rapid-commit": set.rapidCommit, "no-ping": !set.probe,
	} {
		if line {
			fmt.Fprintln(&b, on)
		}
	}
	conf, err := writeFile(dir, "dnsmasq.conf", b.String())
	return []string{"--keep-in-foreground", "--conf-file=" + conf}, nil, err
}
