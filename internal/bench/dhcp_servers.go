package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// network is what the servers of one part of the benchmark serve.
type network struct {
	prefix, bits, mask string
	first, last        string
}

var (
	smallNet = network{"10.64.0.0", "22", "255.255.252.0", "10.64.0.10", "10.64.3.250"}
	largeNet = network{"10.64.0.0", "15", "255.254.0.0", "10.64.0.10", "10.65.255.250"}
)

const (
	serverAddr = "10.64.0.1"
	clientAddr = "10.64.0.2" // perfdhcp's, which plays a relay
)

// contender is one of the servers that are compared.
type contender struct {
	name    string
	program string
	// config writes what the server needs into dir and returns its command line.
	config func(o options, n network, dir string) ([]string, error)
	about  string // its configuration, for the page
}

func contenders() []contender {
	return []contender{
		{
			"kvmlab", "", kvmlabConfig,
			"`kvmlab dhcp serve --interface eth0 --subnet … --range … --lease-time 1h --no-probe --leases DIR`: fdatasync before every ACK",
		},
		{
			"Kea", "kea-dhcp4", keaConfig,
			"memfile, `persist: true` (it never syncs), `lfc-interval: 0`, `enable-multi-threading: true`, log severity ERROR",
		},
		{
			"ISC dhcpd", "dhcpd", dhcpdConfig,
			"`authoritative; ping-check false; dhcp-cache-threshold 0; default-lease-time 3600;`, and it syncs its lease file",
		},
		{
			"dnsmasq", "dnsmasq", dnsmasqConfig,
			"`--port=0 --no-ping --dhcp-authoritative --dhcp-lease-max=200000 --quiet-dhcp` (it rewrites its lease file and never syncs)",
		},
		{"echo", "", echoConfig, "answers from the message alone: the ceiling of machine, veth and generator"},
	}
}

func kvmlabConfig(o options, n network, dir string) ([]string, error) {
	return []string{
		o.kvmlab, "dhcp", "serve", "--interface", "eth0", "--subnet", n.prefix + "/" + n.bits, "--range", n.first + "-" + n.last,
		"--router", serverAddr, "--dns", serverAddr, "--lease-time", "1h", "--no-probe", "--leases", filepath.Join(dir, "leases"),
	}, nil
}

func keaConfig(_ options, n network, dir string) ([]string, error) {
	file := filepath.Join(dir, "kea.json")
	return []string{"kea-dhcp4", "-c", file}, os.WriteFile(file, fmt.Appendf(nil, `{"Dhcp4": {
 "interfaces-config": {"interfaces": ["eth0"], "dhcp-socket-type": "raw"},
 "lease-database": {"type": "memfile", "persist": true, "name": %q, "lfc-interval": 0},
 "multi-threading": {"enable-multi-threading": true},
 "valid-lifetime": 3600,
 "subnet4": [{"subnet": "%s/%s", "pools": [{"pool": "%s - %s"}],
  "option-data": [{"name": "routers", "data": %q}, {"name": "domain-name-servers", "data": %q}]}],
 "loggers": [{"name": "kea-dhcp4", "severity": "ERROR", "output_options": [{"output": "stderr"}]}]
}}`, filepath.Join(dir, "leases.csv"), n.prefix, n.bits, n.first, n.last, serverAddr, serverAddr), 0o644)
}

func dhcpdConfig(_ options, n network, dir string) ([]string, error) {
	file, leases := filepath.Join(dir, "dhcpd.conf"), filepath.Join(dir, "dhcpd.leases")
	err := os.WriteFile(file, fmt.Appendf(nil, `authoritative;
ping-check false;
dhcp-cache-threshold 0;
default-lease-time 3600;
max-lease-time 3600;
subnet %s netmask %s { range %s %s; option routers %s; option domain-name-servers %s; }
`, n.prefix, n.mask, n.first, n.last, serverAddr, serverAddr), 0o644)
	args := []string{"dhcpd", "-4", "-f", "-q", "-cf", file, "-lf", leases, "-pf", filepath.Join(dir, "dhcpd.pid"), "eth0"}
	return args, errors.Join(err, os.WriteFile(leases, nil, 0o644))
}

func dnsmasqConfig(_ options, n network, dir string) ([]string, error) {
	return []string{
		"dnsmasq", "-k", "-C", "/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces",
		"--dhcp-range=" + n.first + "," + n.last + "," + n.mask + ",1h",
		"--dhcp-option=3," + serverAddr, "--dhcp-option=6," + serverAddr, "--dhcp-leasefile=" + filepath.Join(dir, "leases"),
		"--dhcp-lease-max=200000", "--no-ping", "--dhcp-authoritative", "--quiet-dhcp", "--user=root", "--pid-file=",
		"--log-facility=/dev/null",
	}, nil
}

func echoConfig(options, network, string) ([]string, error) {
	return []string{"/proc/self/exe", echoCommand, "eth0"}, nil
}

// stand is a server that runs in a namespace of its own, with the clients' namespace on the other end of a wire.
type stand struct {
	contender

	clients string // namespace
	cmd     *exec.Cmd
	stderr  *os.File
	fd      int // the generator's socket
}

// open makes the namespaces, starts the server and waits until it answers.
func (c contender) open(ctx context.Context, o options, n network) (s *stand, err error) {
	id := strings.ReplaceAll(strings.ToLower(c.name), " ", "-") + "-" + n.bits
	s = &stand{contender: c, clients: "c-" + id, fd: -1}
	servers := "s-" + id
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", c.name, err), s.close())
		}
	}()
	dir := filepath.Join(o.dir, id)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return s, err
	}
	for _, line := range []string{
		"netns add " + servers, "netns add " + s.clients,
		"-n " + servers + " link add eth0 type veth peer name eth0 netns " + s.clients,
		"-n " + servers + " addr add " + serverAddr + "/" + n.bits + " dev eth0", "-n " + servers + " link set eth0 up",
		"-n " + s.clients + " addr add " + clientAddr + "/" + n.bits + " dev eth0", "-n " + s.clients + " link set eth0 up",
	} {
		if out, err := exec.CommandContext(ctx, "ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return s, fmt.Errorf("ip %s: %w: %s", line, err, out)
		}
	}
	args, err := c.config(o, n, dir)
	if err != nil {
		return s, err
	}
	if args[0] == "/proc/self/exe" { // which would be ip's
		if args[0], err = os.Executable(); err != nil {
			return s, err
		}
	}
	if s.stderr, err = os.Create(filepath.Join(dir, "stderr")); err != nil {
		return s, err
	}
	s.cmd = exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", servers}, args...)...)
	s.cmd.Env = append(os.Environ(), "KEA_LOCKFILE_DIR="+dir, "KEA_PIDFILE_DIR="+dir)
	s.cmd.Stderr = s.stderr
	if err := s.cmd.Start(); err != nil {
		return s, err
	}
	if s.fd, err = openWire(s.clients, "eth0"); err != nil {
		return s, err
	}
	return s, s.await(ctx)
}

// await sends DISCOVERs until the first exchange is complete.
func (s *stand) await(ctx context.Context) error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		r, err := runLoad(ctx, s.fd, 1, 1, 300*time.Millisecond, true)
		if err != nil {
			return err
		}
		if r.done > 0 {
			return nil
		}
	}
	said, _ := os.ReadFile(s.stderr.Name()) // what it says is all there is to tell
	return fmt.Errorf("it does not answer: %s", said)
}

// close ends the server. The namespaces go with the private host.
func (s *stand) close() error {
	var errs []error
	if s.fd >= 0 {
		errs = append(errs, unix.Close(s.fd))
	}
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		timer := time.AfterFunc(5*time.Second, func() { _ = s.cmd.Process.Kill() })
		_ = s.cmd.Wait() // servers differ in how they end
		timer.Stop()
	}
	if s.stderr != nil {
		errs = append(errs, s.stderr.Close())
	}
	return errors.Join(errs...)
}
