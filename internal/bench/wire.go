package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// floodLab is a bare switch that is captured as every lab is.
const floodLab = `
version: 1
name: flood
bridges:
  - {name: br1, dhcp: off}
`

// floodCables plugs two stations into the switch, one for the clients and one for the server, that say nothing by
// themselves.
const floodCables = `
for n in 0 1; do
	ip link add p$n type veth peer name s$n
	sysctl -q -w net.ipv6.conf.p$n.disable_ipv6=1 net.ipv6.conf.s$n.disable_ipv6=1
	ip link set p$n master br1 up
	ip link set s$n up
done
sysctl -q -w net.ipv6.conf.br1.disable_ipv6=1`

// flood is how exchanges are sent: so many a second, or as fast as it goes when rate is 0.
type flood struct {
	rate    int
	seconds int
}

// due is when the n-th exchange is to be sent, after the beginning.
func (f flood) due(n int) time.Duration {
	if f.rate == 0 {
		return 0
	}
	return time.Duration(n) * time.Second / time.Duration(f.rate)
}

// over reports whether n exchanges in a time are all.
func (f flood) over(n int, gone time.Duration) bool {
	if f.rate == 0 {
		return gone >= time.Duration(f.seconds)*time.Second
	}
	return n >= f.rate*f.seconds
}

func (o options) floods() []flood {
	if o.quick {
		return []flood{{2000, 1}}
	}
	return []flood{{2000, 10}, {0, 10}}
}

// floodFigures are what was counted in one flood.
type floodFigures struct {
	flood
	sent     int // frames
	counted  int // frames that the interfaces have sent, by the kernel
	captured int // frames in the capture's file
	dropped  int // frames that the capture says are missing
	took     time.Duration
	capture  float64 // MiB, the greatest that the process had
	recorder float64 // MiB, of the lab's supervisor, which records too
	before   float64 // MiB, of the supervisor before
}

// benchWire floods a lab's bridge with DHCP exchanges while it is captured: nothing may be missed in silence.
func benchWire(ctx context.Context, o options) (_ string, err error) {
	file := filepath.Join(o.dir, "flood.yaml")
	if err := os.WriteFile(file, []byte(floodLab), 0o600); err != nil {
		return "", fmt.Errorf("write a lab file: %w", err)
	}
	if _, err := o.timed(ctx, "up", "--plain", file); err != nil {
		return "", err
	}
	defer func() {
		_, downErr := o.timed(context.WithoutCancel(ctx), "down", "flood")
		err = errors.Join(err, downErr)
	}()
	if out, err := exec.CommandContext(ctx, "sh", "-ec", floodCables).CombinedOutput(); err != nil {
		return "", fmt.Errorf("plug cables in: %w\n%s", err, out)
	}
	var all []floodFigures
	for _, f := range o.floods() {
		o.say("a flood of %d exchanges a second for %d s", f.rate, f.seconds)
		figures, err := o.flood(ctx, f)
		if err != nil {
			return "", err
		}
		all = append(all, figures)
	}
	return wirePage(all), nil
}

// flood sends one flood while a capture runs, and counts.
func (o options) flood(ctx context.Context, f flood) (r floodFigures, err error) {
	r.flood = f
	supervisor, err := o.supervisorPID(ctx)
	if err != nil {
		return r, err
	}
	if r.before, err = peakMemory(supervisor); err != nil {
		return r, err
	}
	capture, err := o.startCapture(ctx, filepath.Join(o.dir, "flood.pcapng"))
	if err != nil {
		return r, err
	}
	defer capture.kill()
	counted, err := transmitted()
	if err != nil {
		return r, err
	}
	began := time.Now()
	if r.sent, err = sendFlood(ctx, f); err != nil {
		return r, err
	}
	r.took = time.Since(began)
	if r.counted, err = transmitted(); err != nil {
		return r, err
	}
	r.counted -= counted
	if r.capture, err = peakMemory(capture.cmd.Process.Pid); err != nil {
		return r, err
	}
	if r.captured, r.dropped, err = capture.end(); err != nil {
		return r, err
	}
	r.recorder, err = peakMemory(supervisor)
	return r, err
}

// floodCapture is a `kvmlab capture` that runs.
type floodCapture struct {
	cmd    *exec.Cmd
	out    bytes.Buffer
	ended  bool
	errors *bufio.Scanner
}

func (o options) startCapture(ctx context.Context, file string) (*floodCapture, error) {
	c := &floodCapture{cmd: exec.CommandContext(ctx, o.kvmlab, "capture", "-w", file, "-o", "json", "--lang", "en")}
	c.cmd.Stdout = &c.out
	stderr, err := c.cmd.StderrPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start capture: %w", err)
	}
	c.errors = bufio.NewScanner(stderr)
	for c.errors.Scan() {
		if strings.Contains(c.errors.Text(), "Ctrl-C ends") {
			return c, nil
		}
	}
	c.kill()
	return nil, errors.New("the capture does not start")
}

// end ends the capture as Ctrl-C does, and gives what it counted.
func (c *floodCapture) end() (captured, dropped int, err error) {
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		return 0, 0, fmt.Errorf("end capture: %w", err)
	}
	var said []string
	for c.errors.Scan() {
		said = append(said, c.errors.Text())
	}
	c.ended = true
	if err := c.cmd.Wait(); err != nil {
		return 0, 0, fmt.Errorf("end capture: %w\n%s", err, strings.Join(said, "\n"))
	}
	var report struct {
		Packets int
		Links   map[string]struct{ Received, Dropped int }
	}
	if err := json.Unmarshal(c.out.Bytes(), &report); err != nil {
		return 0, 0, fmt.Errorf("read the capture's report: %w", err)
	}
	return report.Packets, report.Links["br1"].Dropped, nil
}

// kill ends a capture that is no longer wanted.
func (c *floodCapture) kill() {
	if !c.ended {
		c.ended = true
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
}

// sendFlood sends exchanges of four frames, DISCOVER and REQUEST from the one station and the answers from the other,
// and returns how many frames there were. A machine that is too slow for the rate takes longer.
func sendFlood(ctx context.Context, f flood) (sent int, err error) {
	var stations [2]int
	for i, name := range []string{"s0", "s1"} {
		if stations[i], err = packetSocket(name); err != nil {
			return 0, err
		}
		defer unix.Close(stations[i]) //nolint:errcheck // nothing was read from it
	}
	const tick = 10 * time.Millisecond
	exchange, begin := floodExchange(), time.Now()
	for n := 0; ctx.Err() == nil && !f.over(n, time.Since(begin)); n++ {
		if early := f.due(n) - time.Since(begin); early > tick {
			select {
			case <-ctx.Done():
			case <-time.After(early):
			}
		}
		for i, frame := range exchange {
			floodAddress(frame, uint32(n))
			if err := sendAll(stations[i%2], frame); err != nil {
				return sent, err
			}
			sent++
		}
	}
	return sent, ctx.Err()
}

// floodAddress puts the n-th client into a frame; a reply goes to it, and comes from the server.
func floodAddress(frame []byte, n uint32) {
	address(frame, n, n)
	if frame[dhcpAt] == 2 {
		copy(frame, frame[6:12])
		copy(frame[6:12], []byte{2, 0xbe, 0xff, 0xff, 0xff, 0xff})
	}
}

// floodExchange is DISCOVER, OFFER, REQUEST and ACK.
func floodExchange() [4][]byte {
	reply := func(kind byte) []byte {
		f := clientFrame(53, 1, kind, 54, 4, 192, 168, 1, 1, 51, 4, 0, 0, 2, 88)
		f[udpAt+1], f[udpAt+3], f[dhcpAt] = 67, 68, 2
		copy(f[yiaddrAt:], []byte{192, 168, 1, 2})
		return f
	}
	return [4][]byte{discoverFrame(), reply(typeOffer), requestFrame(), reply(typeAck)}
}

// sendAll sends a frame, waiting while the interface's queue is full.
func sendAll(fd int, frame []byte) error {
	for {
		_, err := unix.Write(fd, frame)
		if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EAGAIN) {
			return err
		}
		time.Sleep(50 * time.Microsecond) //nolint:forbidigo // the kernel does not tell when there is room
	}
}

// transmitted is how many frames both stations have sent, as the kernel counts.
func transmitted() (total int, err error) {
	for _, name := range []string{"s0", "s1"} {
		text, err := os.ReadFile("/sys/class/net/" + name + "/statistics/tx_packets")
		if err != nil {
			return 0, fmt.Errorf("count frames: %w", err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return 0, fmt.Errorf("count frames: %w", err)
		}
		total += n
	}
	return total, nil
}

// peakMemory is the most memory that a process has had, in MiB (VmHWM of proc(5)).
func peakMemory(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	return kib / 1024, nil
}
