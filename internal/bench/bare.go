package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// barePoll is how often it is looked whether something has come that nobody announces.
const barePoll = 5 * time.Millisecond

// bare is a micro guest of bare QEMU, on a network of QEMU's own, which has a DHCP server: no packet leaves the process.
type bare struct {
	cmd              *exec.Cmd
	identity, serial string // its socket, and the file that its console is written to
	monitor          net.Conn
	replies          *json.Decoder
	complaints       strings.Builder
}

// startBare starts QEMU. Each guest of a directory has a name.
func startBare(ctx context.Context, m micro, dir, name string, mib int, options ...string) (_ *bare, err error) {
	g := &bare{identity: filepath.Join(dir, name+".id"), serial: filepath.Join(dir, name+".serial")}
	control := filepath.Join(dir, name+".qmp")
	g.cmd = exec.CommandContext(ctx, "qemu-system-x86_64", append([]string{
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "file:" + g.serial, "-m", fmt.Sprintf("%dM", mib),
		"-machine", "microvm", "-accel", "tcg", "-cpu", "qemu64", "-qmp", "unix:" + control + ",server=on,wait=off",
		"-kernel", filepath.Join(m.dir, m.Kernel.Name), "-initrd", filepath.Join(m.dir, m.Initrd.Name), "-append", m.Cmdline,
		"-netdev", "user,id=net0,restrict=on", "-device", "virtio-net-device,netdev=net0,mac=02:00:00:00:00:01",
		"-device", "virtio-serial-device", "-chardev", "socket,id=id,path=" + g.identity + ",server=on,wait=off",
		"-device", "virtserialport,chardev=id,name=org.kvmlab.id",
	}, options...)...)
	g.cmd.Stderr = &g.complaints
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	if g.monitor, err = dialSoon(ctx, control); err != nil {
		return nil, errors.Join(err, g.stop())
	}
	g.replies = json.NewDecoder(g.monitor)
	var greeting any
	if err := g.replies.Decode(&greeting); err != nil {
		return nil, errors.Join(err, g.stop())
	}
	if err := g.do("qmp_capabilities", nil, nil); err != nil {
		return nil, errors.Join(err, g.stop())
	}
	return g, nil
}

// stop ends the guest as it is.
func (g *bare) stop() error {
	if g.monitor != nil {
		_ = g.monitor.Close()
	}
	killed := g.cmd.Process.Kill()
	_ = g.cmd.Wait() // it was killed
	return killed
}

// do gives QEMU a command (QMP) and decodes what it returns.
func (g *bare) do(command string, args, into any) error {
	request := map[string]any{"execute": command}
	if args != nil {
		request["arguments"] = args
	}
	if err := json.NewEncoder(g.monitor).Encode(request); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	for {
		var reply struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := g.replies.Decode(&reply); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, g.complaints.String())
		}
		switch {
		case reply.Error != nil:
			return fmt.Errorf("%s: %s", command, reply.Error.Desc)
		case reply.Return != nil && into != nil:
			return json.Unmarshal(reply.Return, into)
		case reply.Return != nil:
			return nil
		} // else it is an event
	}
}

// await asks until QEMU's status by a command is the wanted one.
func (g *bare) await(ctx context.Context, query, want string) error {
	for {
		var now struct {
			Status string
			Desc   string `json:"error-desc"`
		}
		if err := g.do(query, nil, &now); err != nil || now.Status == want {
			return err
		}
		if now.Status == "failed" {
			return fmt.Errorf("%s: %s", query, now.Desc)
		}
		if err := pause(ctx, barePoll); err != nil {
			return err
		}
	}
}

// ignoreShared has QEMU leave out of a migration the memory that lies in a file.
func (g *bare) ignoreShared() error {
	return g.do("migrate-set-capabilities", map[string]any{
		"capabilities": []any{map[string]any{"capability": "x-ignore-shared", "state": true}},
	}, nil)
}

// leased waits until the guest says on its console that it has a lease.
func (g *bare) leased(ctx context.Context) error {
	for !fileHas(g.serial, ": lease ") {
		if err := pause(ctx, barePoll); err != nil {
			return fmt.Errorf("wait for a lease: %w: %s", err, g.complaints.String())
		}
	}
	return nil
}

// pause returns after some time, or with the end of ctx and its error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// dialSoon connects to a socket as soon as there is one.
func dialSoon(ctx context.Context, socket string) (net.Conn, error) {
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		if err == nil {
			return conn, nil
		}
		if pause(ctx, barePoll) != nil {
			return nil, fmt.Errorf("connect to QEMU: %w", err)
		}
	}
}

// tellGuest says a line on a guest's identity port, as kvmlab's supervisor does, and waits for the answer.
func tellGuest(ctx context.Context, socket, line, answer string) error {
	conn, err := dialSoon(ctx, socket)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends a read
	defer func() {
		if stop() {
			_ = conn.Close()
		}
	}()
	if _, err := fmt.Fprintf(conn, "%s\nend\n", line); err != nil {
		return fmt.Errorf("tell a guest: %w", err)
	}
	for said := bufio.NewScanner(conn); said.Scan(); {
		if strings.TrimSpace(said.Text()) == answer {
			return nil
		}
	}
	return errors.New("tell a guest: no answer")
}
