package netsetup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// RemoveLink removes an owner's link, under whatever name it goes now. Removed is false when there was
// nothing to remove. The error is a [*ForeignError] when the owner has no such link and the name belongs
// to somebody else, a [*NameError], or [ErrPermission].
func (h *Handle) RemoveLink(ctx context.Context, name string, owner Owner) (removed bool, err error) {
	removed, err = h.removeLink(ctx, name, owner)
	if err != nil {
		return removed, fmt.Errorf("remove link %q: %w", name, err)
	}
	return removed, nil
}

func (h *Handle) removeLink(ctx context.Context, name string, owner Owner) (bool, error) {
	if err := check(ctx, name, owner); err != nil {
		return false, err
	}
	link, err := h.find(name, owner)
	if link == nil {
		return false, err
	}
	// With a link of the owner found, an error only says that somebody else took over its name.
	_, err = h.links.do(deleteLink(link.Index))
	if errors.Is(err, unix.ENODEV) {
		return false, nil
	}
	return err == nil, err
}

// RemoveLinks removes every link that carries the mark of one of the owners, all in one go: for two
// hundred taps that takes hardly longer than for one. Other links do not matter, whatever their names.
// It returns how many there were. The error is [ErrPermission], or that of the first link that stayed.
func (h *Handle) RemoveLinks(ctx context.Context, owners ...Owner) (removed int, err error) {
	links, err := h.bareLinks(ctx)
	if err != nil {
		return 0, fmt.Errorf("remove links: %w", err)
	}
	theirs := func(link Link) bool { return link.Owned() && slices.Contains(owners, link.Owner) }
	group := freeGroup(links)
	var requests []*nl.NetlinkRequest
	for _, link := range links {
		if theirs(link) {
			requests = append(requests, setLink(link.Index, false, groupAttr(group)))
		}
	}
	if len(requests) == 0 {
		return 0, nil
	}
	removed = len(requests)
	requests = append(requests, deleteGroup(group))
	for chunk := range slices.Chunk(requests, chunkSize) {
		answers, err := h.links.exchange(chunk...)
		for i := 0; err == nil && i < len(answers); i++ {
			if !errors.Is(answers[i].err, unix.ENODEV) { // Else somebody removed it meanwhile.
				err = answers[i].err
			}
		}
		if err != nil {
			return 0, fmt.Errorf("remove links: %w", classify(err))
		}
	}
	return removed, nil
}

// chunkSize bounds the requests of one send: their answers have to fit into the socket's buffer
// (208 KiB as a rule, of which the smallest message takes up almost 1 KiB).
const chunkSize = 64

// freeGroup returns a link group (IFLA_GROUP) that no link is in.
func freeGroup(links []Link) uint32 {
	group := uint32(0x6b766d6c) // "kvml"; `ip` itself leaves every link in group 0.
	for slices.ContainsFunc(links, func(link Link) bool { return link.group == group }) {
		group++
	}
	return group
}
