package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/vm"
	"github.com/kvmlab/kvmlab/vm/image"
)

// A guest whose image has a disk gets one of its own that lies on it. Disks are no objects of a plan: down leaves them
// alone, and an up that is taken back removes those that it has made.

// diskOf finds a guest's disk, and the image to boot it with: the present one, unless the disk lies on an older one and
// that was asked for. Nothing is changed.
func (r *run) diskOf(ctx context.Context, g lab.Guest, img Image) (*vm.Disk, Image, error) {
	path := r.files.Disk(g.Name)
	damaged := func(reason string, err error) error {
		return diag.New(diag.DiskDamaged, diag.Args{"guest": g.Name, "path": path, "reason": reason}).Wrap(err)
	}
	disk := &vm.Disk{Path: path, Base: img.Disk}
	overlay, err := image.ReadOverlay(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && g.Disk != 0 && int64(g.Disk) < img.DiskSize:
		return nil, img, diag.New(diag.DiskSmall, diag.Args{
			"guest": g.Name, "disk": g.Disk, "image": g.Image, "size": lab.Size(img.DiskSize),
		})
	case errors.Is(err, fs.ErrNotExist):
		return disk, img, nil
	case errors.Is(err, image.ErrNotQcow2):
		return nil, img, damaged("it is no disk", err)
	case err != nil:
		return nil, img, explainState(path, err)
	case overlay.Base == img.Disk:
		return disk, img, nil
	case r.e.cfg.OldImage == nil:
		return nil, img, diag.New(diag.DiskBase, diag.Args{
			"guest": g.Name, "image": g.Image, "base": digestIn(overlay.Base), "now": digestIn(img.Disk),
		})
	}
	old, err := r.e.cfg.OldImage(ctx, g.Image, overlay.Base)
	if err != nil {
		return nil, img, damaged("its image "+digestIn(overlay.Base)+" is gone or damaged", err)
	}
	disk.Base = overlay.Base
	return disk, old, nil
}

// digestIn is the digest of an image in the path of its disk.
func digestIn(base string) string { return filepath.Base(filepath.Dir(base)) }

// ensureDisk makes the guest's disk if it has none.
func (r *run) ensureDisk(ctx context.Context, d vm.Domain) error {
	if d.Disk == nil {
		return nil
	}
	if _, err := image.ReadOverlay(d.Disk.Path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Before it is made: half of one would be removed as well.
	r.mu.Lock()
	r.fresh = append(r.fresh, d.Owner.Guest)
	r.mu.Unlock()
	g, _ := r.lab.Guest(d.Owner.Guest)
	err := image.CreateOverlay(ctx, d.Disk.Path, d.Disk.Base, int64(g.Disk))
	if room, full := errors.AsType[*image.NoRoomError](err); full {
		return diag.New(diag.ImageNoRoom, diag.Args{
			"path": room.Path, "need": lab.Size(room.Need), "have": lab.Size(room.Free),
		}).Wrap(err)
	}
	return err
}

// writeSeed writes what tells a guest of an imported image who it is. It comes to the same bytes as long as the lab does.
func (r *run) writeSeed(d vm.Domain) error {
	if d.Seed == "" {
		return nil
	}
	g, ok := r.lab.Guest(d.Owner.Guest)
	if !ok {
		return errNotInLab
	}
	seed := image.Seed{Instance: g.UUID.String(), Hostname: g.Name, Keys: r.keys[g.Image]}
	for _, nic := range g.NICs {
		seed.MACs = append(seed.MACs, nic.MAC.String())
	}
	for _, f := range g.Files {
		seed.Files = append(seed.Files, image.SeedFile{Path: f.Path, Mode: f.Mode, Content: []byte(f.Content)})
	}
	volume, err := seed.Disk()
	if err != nil {
		return err
	}
	return explainState(d.Seed, r.files.WriteSeed(g.Name, volume))
}

// removeFresh deletes the disks that this run has made.
func (r *run) removeFresh() error {
	var errs []error
	for _, guest := range r.fresh {
		errs = append(errs, r.files.RemoveDisk(guest))
	}
	return errors.Join(errs...)
}

// Reset switches a guest off and deletes its disk, under the lab's lock. The next Up gives it a fresh one. ran tells
// whether the guest was running.
func (e *Engine) Reset(ctx context.Context, name, guest string) (ran bool, err error) {
	files, err := e.cfg.Dirs.Lab(name)
	if err != nil {
		return false, err
	}
	lock, err := files.Lock()
	if err != nil {
		return false, explainState(files.LockFile(), err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	domain := (&lab.Lab{Name: name}).DomainName(guest)
	d, err := e.cfg.Hypervisor.Domain(ctx, domain)
	switch {
	case errors.Is(err, vm.ErrNotFound):
	case err != nil:
		return false, explainHypervisor(err)
	case !d.Owned || d.Owner.Lab != name:
		return false, explainForeignDomain(&vm.ForeignError{Domain: domain, Owner: d.Owner})
	case d.Run.Active():
		if err := e.cfg.Hypervisor.Destroy(ctx, domain); err != nil {
			return false, explainGuest(diag.GuestStopFailed, guest, err)
		}
		ran = true
	}
	if err := files.RemoveDisk(guest); err != nil {
		return ran, fmt.Errorf("reset %q: %w", guest, err)
	}
	return ran, nil
}
