package vm

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"

	"github.com/kvmlab/kvmlab/macgen"
)

const (
	// tscStep in kHz tells one processor's counter from another's.
	tscStep        = 50_000
	templateSuffix = ".template"
	keyLength      = 16 // hexadecimal digits of each half of a key
)

// templateKey says what a template is made of. Its first half is what is the same for all templates of a host at one
// time, its second one the shape of the guest.
type templateKey struct{ host, shape string }

func (k templateKey) file() string { return k.host + "-" + k.shape + templateSuffix }

// key finds out everything that the memory of a booted guest depends on.
func (t *Templates) key(ctx context.Context, d Domain) (templateKey, error) {
	if !d.Lean() {
		return templateKey{}, ErrNoTemplate
	}
	version, err := t.libvirtVersion(ctx)
	if err != nil {
		return templateKey{}, err
	}
	host := sha256.New()
	_, _ = fmt.Fprintln(host, "kvmlab template 2, libvirt", version, processor()) // a hash takes everything
	for _, path := range []string{d.Emulator, d.Kernel, d.Initrd} {
		if err := identifyFile(host, path); err != nil {
			return templateKey{}, err
		}
	}
	// The counter's frequency may be measured anew each time, and a little differently.
	d.TSCkHz = (d.TSCkHz + tscStep/2) / tscStep * tscStep
	text, err := d.template(templateKey{}).text()
	if err != nil {
		return templateKey{}, err
	}
	shape := sha256.Sum256(text)
	return templateKey{
		host:  hex.EncodeToString(host.Sum(nil))[:keyLength],
		shape: hex.EncodeToString(shape[:])[:keyLength],
	}, nil
}

// libvirtVersion asks libvirt once.
func (t *Templates) libvirtVersion(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.libvirt != "" {
		return t.libvirt, nil
	}
	err := t.conn.call(ctx, func(rpc *libvirt.Libvirt) error {
		number, err := rpc.ConnectGetLibVersion()
		t.libvirt = version(number)
		return err
	})
	return t.libvirt, err
}

// identifyFile tells a file from what may be at the same path later.
func identifyFile(w io.Writer, path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, path, info.Size(), info.ModTime().UnixNano())
	return err
}

// processor is the host's processor, by its name and features: a guest that runs on the hardware has seen them.
func processor() (text string) {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "model name"):
			text = line
		case strings.HasPrefix(line, "flags"):
			return text + line
		}
	}
	return text
}

// template describes the guest that is booted to become the template: of the domain's shape, with nothing that is the
// domain's own. Its cards lead to a socket on the host's loopback to which nobody connects: nothing has to be made
// on the host for them, and no frame goes anywhere. Such a card offers the guest neither checksums nor large segments,
// so a resumed guest computes its own.
func (d Domain) template(key templateKey) xmlDomain {
	d.ConsoleLog = ""
	cards := make([]NIC, len(d.NICs))
	for i := range cards {
		cards[i].MAC = templateMAC(i)
	}
	d.NICs = cards
	x := d.xml()
	x.Name = "kvmlab-template-" + key.shape
	x.UUID = uuid.NewSHA1(uuid.NameSpaceURL, []byte(guestSpace+"/"+x.Name)).String()
	x.Title = "what the guests of kvmlab's labs are resumed from; it is being made"
	x.Metadata = nil
	for i := range x.Devices.Interfaces {
		card := &x.Devices.Interfaces[i]
		card.Type, card.Target, card.Source = "server", nil, &xmlSocket{Address: "127.0.0.1"}
	}
	return x
}

// templateMAC is the address of a template's card. No guest keeps it: it is told its own before its network comes up.
func templateMAC(i int) macgen.MAC { return macgen.MAC{0x02, 0, 0, 0, 0, byte(i)} }
