package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// bootIDFile is the kernel's name for the present boot of this host (random(4)).
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// NoteBoot keeps in which boot of the host the lab is up.
func (l Lab) NoteBoot() error {
	id, err := os.ReadFile(bootIDFile)
	if noted, readErr := os.ReadFile(l.BootFile()); err == nil && readErr == nil && bytes.Equal(noted, id) {
		return nil
	}
	if err == nil {
		err = WriteFile(l.BootFile(), id, FileMode)
	}
	if err != nil {
		return fmt.Errorf("note the boot of lab %q: %w", l.name, err)
	}
	return nil
}

// Restarted reports whether the host has been restarted since the lab was brought up. Of a lab that is not noted to have
// been, it has not.
func (l Lab) Restarted() (bool, error) {
	noted, err := os.ReadFile(l.BootFile())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var id []byte
	if err == nil {
		id, err = os.ReadFile(bootIDFile)
	}
	if err != nil {
		return false, fmt.Errorf("read the boot of lab %q: %w", l.name, err)
	}
	return strings.TrimSpace(string(noted)) != strings.TrimSpace(string(id)), nil
}
