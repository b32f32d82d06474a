package image

import "fmt"

// Stage is what a build is doing.
type Stage int

// The stages of a build, in order; after StageRefresh it begins anew.
const (
	StageResolve  Stage = iota + 1 // asking apt which packages there are
	StageRefresh                   // fetching apt's lists anew, if these did not lead to the packages
	StageDownload                  // fetching what the store lacks, if anything
	StageUnpack                    // once per package
	StageInstall                   // installing Debian: several, each with its Detail
	StageDisk                      // making the disk
	StageWrite                     // putting the image into the store
)

// String is the stage as a verb.
func (s Stage) String() string {
	switch s {
	case StageResolve:
		return "resolve"
	case StageRefresh:
		return "refresh"
	case StageDownload:
		return "download"
	case StageUnpack:
		return "unpack"
	case StageInstall:
		return "install"
	case StageDisk:
		return "disk"
	case StageWrite:
		return "write"
	}
	return fmt.Sprintf("Stage(%d)", int(s))
}

// Progress says how far a build is. Steps count from 1 to Steps over the whole
// build.
type Progress struct {
	Stage       Stage
	Packages    []Package // those to download; the one to unpack
	Detail      string    // what the installation does, in mmdebstrap's words
	Step, Steps int
}

// NoticeKind is what a Notice is about.
type NoticeKind int

// What there is to tell.
const (
	// NoticeRefresh: apt could not fetch what its lists name, so they are fetched anew and it tries once more.
	NoticeRefresh NoticeKind = iota + 1
	// NoticeCached: the image is made of packages that were fetched before, in the place of newer ones.
	NoticeCached
	// NoticeHere: all packages are in the store, and the archive is not asked.
	NoticeHere
	// NoticeWaiting: another build is under way, and this one waits for its end.
	NoticeWaiting
)

// String is the kind in a word.
func (k NoticeKind) String() string {
	switch k {
	case NoticeRefresh:
		return "refresh"
	case NoticeCached:
		return "cached"
	case NoticeHere:
		return "here"
	case NoticeWaiting:
		return "waiting"
	}
	return fmt.Sprintf("NoticeKind(%d)", int(k))
}

// Notice is something about a build that goes on. Err is why; nil for what was asked for.
type Notice struct {
	Kind NoticeKind
	Err  error
}

func (b *microBuild) notice(kind NoticeKind, reason error) {
	b.Log.Debug("build image", "image", b.name, "notice", kind.String(), "err", reason)
	if b.Notice != nil {
		b.Notice(Notice{Kind: kind, Err: reason})
	}
}
