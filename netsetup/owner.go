package netsetup

import (
	"strconv"
	"strings"
)

// Owner says which object of which lab a link is. It is written on the link itself, twice: as the
// alternative name, which is unique in a namespace, by which the kernel finds the link, and which
// survives a renaming and a move to another namespace; and as the alias, which people see in
// `ip link` and which stands in for the alternative name where that was taken off.
type Owner struct {
	Lab    string
	Object string // Unique within the lab; kvmlab uses the link's name.
}

const (
	markPrefix       = "kvmlab:"
	maxAltname       = 127 // ALTIFNAMSIZ without the terminating zero.
	altnameSeparator = ":" // The kernel would take '/', but `ip` does not.
	aliasSeparator   = "/"
)

// Alias returns the mark as alias (IFLA_IFALIAS): "kvmlab:<lab>/<object>".
func (o Owner) Alias() string { return markPrefix + o.Lab + aliasSeparator + o.Object }

// Altname returns the mark as alternative name (IFLA_ALT_IFNAME): "kvmlab:<lab>:<object>".
func (o Owner) Altname() string { return markPrefix + o.Lab + altnameSeparator + o.Object }

// Station reports whether the owner is that of a tap that [Handle.OpenStation] has made: no part of the lab, but the lab's.
func (o Owner) Station() bool {
	number, ok := strings.CutPrefix(o.Object, strings.TrimSuffix(stationName, "%d"))
	_, err := strconv.ParseUint(number, 10, 32)
	return ok && err == nil
}

// Validate checks that the owner can be written on a link and read back; the error is a [*NameError].
func (o Owner) Validate() error {
	const room = maxAltname - len(markPrefix) - len(altnameSeparator)
	if err := validName("object", o.Object, maxName); err != nil {
		return err
	}
	return validName("lab", o.Lab, room-maxName)
}

// ownerOf reads the marks of a link. The alternative name decides, because only it is unique.
func ownerOf(alias string, altnames []string) Owner {
	for _, altname := range altnames {
		if owner, ok := parseMark(altname, altnameSeparator); ok {
			return owner
		}
	}
	owner, _ := parseMark(alias, aliasSeparator)
	return owner
}

func parseMark(text, separator string) (Owner, bool) {
	rest, ok := strings.CutPrefix(text, markPrefix)
	if !ok {
		return Owner{}, false
	}
	lab, object, ok := strings.Cut(rest, separator)
	owner := Owner{Lab: lab, Object: object}
	if !ok || owner.Validate() != nil {
		return Owner{}, false
	}
	return owner, true
}
