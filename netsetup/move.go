package netsetup

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// StagingName is the name that an isolated lab's tap has in the host's namespace, where a hypervisor can
// open it, until [Handle.MoveTap] takes it to the lab's own. It differs for every lab and object: 40 bits
// of a hash, 15 characters.
func StagingName(owner Owner) string { return temporaryName(owner) }

// MoveTap moves an owner's tap to a lab's network namespace and names it. A process that has it open
// keeps it open. The kernel brings it down on the way and takes it off its bridge; EnsureTap in the
// other namespace does the rest.
//
// The error is [ErrNotFound] when the owner has no tap here; [ErrNoNamespace]; a [*ForeignError] when the
// name is taken there; or [ErrPermission]. After an error the tap may be in either namespace.
func (h *Handle) MoveTap(ctx context.Context, owner Owner, lab, name string) error {
	if err := h.moveTap(ctx, owner, lab, name); err != nil {
		return fmt.Errorf("move tap %q to network namespace %q: %w", name, NamespaceName(lab), err)
	}
	return nil
}

func (h *Handle) moveTap(ctx context.Context, owner Owner, lab, name string) (err error) {
	if err := check(ctx, name, owner); err != nil {
		return err
	}
	link, err := h.find(StagingName(owner), owner)
	switch {
	case err != nil:
		return err
	case link == nil:
		return ErrNotFound
	case link.Kind != KindTap:
		return &ForeignError{Name: link.Name, Kind: link.Kind, Owner: link.Owner}
	}
	target, err := os.Open(NamespacePath(lab))
	if errors.Is(err, os.ErrNotExist) {
		return ErrNoNamespace
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	// Also Linux before 6.6 (and its stable branches), which forgot a link's alternative names on the way,
	// then finds the tap in the other namespace: by its name and its alias.
	_, err = h.links.do(setLink(link.Index, false,
		nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(target.Fd()))),
		stringAttr(unix.IFLA_IFNAME, name)))
	if errors.Is(err, unix.EEXIST) {
		return &ForeignError{Name: name, Kind: KindOther}
	}
	return err
}
