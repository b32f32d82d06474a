package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// benchMillion measures how long `kvmlab dhcp serve` takes from its start to "ready" with so many leases in its journal,
// five times.
func benchMillion(ctx context.Context, o options, leases int) (started samples, err error) {
	dir := filepath.Join(o.dir, "million")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "leases-00000001.journal"), journalOf(leases, time.Now()), 0o644); err != nil {
		return nil, err
	}
	for _, line := range [][]string{
		{"netns", "add", "million"},
		{"-n", "million", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"},
		{"-n", "million", "addr", "add", "10.0.0.1/8", "dev", "eth0"},
		{"-n", "million", "link", "set", "eth0", "up"},
	} {
		if out, err := exec.CommandContext(ctx, "ip", line...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ip %v: %w: %s", line, err, out)
		}
	}
	for range 5 {
		o.say("start with %d leases", leases)
		d, err := startTime(ctx, o, dir)
		if err != nil {
			return nil, err
		}
		started.add(d.Seconds())
	}
	return started, nil
}

// startTime starts the server, waits for its ready line and ends it.
func startTime(ctx context.Context, o options, dir string) (d time.Duration, err error) {
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", "million", o.kvmlab, "dhcp", "serve", "--interface", "eth0",
		"--subnet", "10.0.0.0/8", "--range", "10.0.0.2-10.255.255.250", "--leases", dir)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err = errors.Join(err, cmd.Wait())
	}()
	var said bytes.Buffer
	for in := bufio.NewScanner(stderr); in.Scan(); {
		if in.Text() == "ready" {
			return time.Since(began), nil
		}
		fmt.Fprintln(&said, in.Text())
	}
	return 0, fmt.Errorf("kvmlab did not get ready: %s", &said)
}

// journalOf writes a lease journal in the format that dhcp/journal.go documents: a header, and for each lease a record
// with its length, CRC-32C and sequence.
func journalOf(leases int, now time.Time) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	out := append(make([]byte, 0, 100*leases), "KVMLDHCP"...)
	out = binary.BigEndian.AppendUint32(out, 1) // version
	out = binary.BigEndian.AppendUint64(out, 1) // generation
	out = binary.BigEndian.AppendUint32(out, crc32.Checksum(out, table))
	for i := range leases {
		at := len(out)
		out = append(out, make([]byte, 2+4)...)
		out = binary.BigEndian.AppendUint64(out, uint64(i+1))
		out = binary.BigEndian.AppendUint32(out, 10<<24+2+uint32(i))
		out = append(out, 2) // bound
		out = binary.BigEndian.AppendUint64(out, uint64(now.UnixNano()))
		out = binary.BigEndian.AppendUint64(out, uint64(now.Add(24*time.Hour).UnixNano()))
		mac := binary.BigEndian.AppendUint32([]byte{0x02, 0xbe}, uint32(i))
		out = append(binary.BigEndian.AppendUint16(out, 8), 'h', 1) // the client's key: by its hardware address
		out = append(append(out, mac...), 1, 6)
		out = append(append(out, mac...), 0) // no host name
		out = append(out, 10, 0, 0, 1)
		binary.BigEndian.PutUint16(out[at:], uint16(len(out)-at-14))
		binary.BigEndian.PutUint32(out[at+2:], crc32.Checksum(out[at+6:], table))
	}
	return out
}
