package userfile

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Owner is the user whom a program works for: the one behind sudo, or the one that runs it.
type Owner struct{ UID, GID int }

// Invoker is the owner by the environment of the program: sudo tells it in SUDO_UID and SUDO_GID. Only root's word
// counts there.
func Invoker(env func(string) string) Owner {
	uid, uidErr := strconv.Atoi(env("SUDO_UID"))
	gid, gidErr := strconv.Atoi(env("SUDO_GID"))
	if os.Geteuid() != 0 || uidErr != nil || gidErr != nil || uid < 0 || gid < 0 {
		return Owner{UID: os.Geteuid(), GID: os.Getegid()}
	}
	return Owner{UID: uid, GID: gid}
}

// owns reports whether something is the owner's, or root's.
func (o Owner) owns(stat unix.Stat_t) bool { return stat.Uid == 0 || int(stat.Uid) == o.UID }

// distrusts says why somebody else than root and the owner could change something; "" when nobody can. Whoever may
// write to a sticky folder (sticky: it may be one) cannot move what is in it.
func (o Owner) distrusts(stat unix.Stat_t, sticky bool) string {
	// A user's own group, which has the user's number, is nobody else; that is how Debian makes users (adduser(8)).
	private := stat.Gid == 0 || int(stat.Gid) == o.GID && o.GID == o.UID
	switch {
	case !o.owns(stat):
		return fmt.Sprintf("it belongs to the user %d", stat.Uid)
	case sticky && stat.Mode&unix.S_ISVTX != 0:
		return ""
	case stat.Mode&unix.S_IWOTH != 0:
		return "everybody can write to it"
	case stat.Mode&unix.S_IWGRP != 0 && !private:
		return fmt.Sprintf("the group %d can write to it", stat.Gid)
	}
	return ""
}
