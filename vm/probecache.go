package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cacheVersion is the format of the cache file. Another version is read as an
// empty cache: it costs one trial boot.
const cacheVersion = 2

// probeCache keeps the attempts that were made under one key.
type probeCache struct {
	path    string
	changed bool

	Version  int       `json:"version"`
	Key      probeKey  `json:"key"`
	Attempts []Attempt `json:"attempts"`
	Late     *lateTry  `json:"late,omitempty"`
}

// lateTry remembers for a while that this host was too busy for a trial, so that
// not every command tries again.
type lateTry struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// lateValid is for how long.
const lateValid = 5 * time.Minute

// probeKey is everything that a conclusive attempt depends on.
type probeKey struct {
	Boot   string `json:"boot"`   // the kernel's boot id: firmware settings and modules can change between boots
	Kernel string `json:"kernel"` // the host's kernel release
	QEMU   string `json:"qemu"`
	UID    int    `json:"uid"`
	Image  string `json:"image"` // kernel, initrd and memory of the trial guest
}

// openCache reads the cache of the options' file, or starts an empty one: a
// cache that cannot be read is not a reason to fail.
func openCache(o ProbeOptions) *probeCache {
	fresh := &probeCache{path: o.CacheFile, Version: cacheVersion, Key: keyOf(o)}
	text, err := os.ReadFile(o.CacheFile)
	if err != nil {
		return fresh
	}
	var old probeCache
	if json.Unmarshal(text, &old) != nil || old.Version != cacheVersion || old.Key != fresh.Key {
		return fresh
	}
	fresh.Attempts, fresh.Late = old.Attempts, old.Late
	return fresh
}

// assumed tells why a probe of the last minutes came to no verdict. KVM, when
// nothing else is wanted, is always tried.
func (c *probeCache) assumed(want Accel) (reason string, ok bool) {
	if c.Late == nil || want == AccelKVM || time.Since(c.Late.At) > lateValid {
		return "", false
	}
	return c.Late.Reason, true
}

// assume remembers that a probe came to no verdict, and what it found out about
// KVM. That TCG does not work was not found out.
func (c *probeCache) assume(reason string) {
	c.forget(AccelTCG)
	c.Late, c.changed = &lateTry{At: time.Now(), Reason: reason}, true
	c.save()
}

func keyOf(o ProbeOptions) probeKey {
	k := probeKey{
		QEMU: o.Emulator + " " + o.QEMUVersion,
		UID:  o.User.UID, Image: fmt.Sprintf("%s %s %d KiB", o.Kernel, o.Initrd, o.MemoryKiB),
	}
	// Without a boot id (no /proc) the key still holds the rest.
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		k.Boot = strings.TrimSpace(string(id))
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		k.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	return k
}

// of gives what is known of a way to run guests: nothing, or all the attempts that led to a conclusion.
func (c *probeCache) of(accel Accel) (known []Attempt) {
	for _, a := range c.Attempts {
		if a.Accel == accel {
			known = append(known, a)
		}
	}
	return known
}

// forget drops what is known of a way.
func (c *probeCache) forget(accel Accel) {
	c.Attempts = slices.DeleteFunc(c.Attempts, func(a Attempt) bool { return a.Accel == accel })
}

// learn keeps the attempts of a way that came to a conclusion.
func (c *probeCache) learn(t try) {
	if t.conclusive && !t.cached {
		c.Attempts, c.changed = append(c.Attempts, t.attempts...), true
	}
}

// save writes the cache in one step. That it cannot be written costs the next
// run a trial boot and is nobody's error.
func (c *probeCache) save() {
	if c.path == "" || !c.changed {
		return
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return
	}
	temp, err := os.CreateTemp(filepath.Dir(c.path), ".accel-*")
	if err != nil {
		return
	}
	_, err = temp.Write(append(text, '\n'))
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), c.path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
	}
}

// ForgetProbe forgets what ProbeAccel has kept in a cache file: the next one boots guests. It waits for one that is under
// way. Errors: the context's, and those of removing the file.
func ForgetProbe(ctx context.Context, cacheFile string) error {
	unlock, err := lockProbe(ctx, cacheFile)
	if err != nil {
		return fmt.Errorf("forget how guests run: %w", err)
	}
	defer unlock()
	if err := os.Remove(cacheFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget how guests run: %w", err)
	}
	return nil
}
