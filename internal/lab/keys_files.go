package lab

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
)

const (
	maxFiles = 32
	// maxFileBytes is the most that all files of a guest may hold: they come over a serial port, and the guest's
	// shell reads it byte by byte.
	maxFileBytes = 128 << 10
	// minDisk and maxDisk bound a guest's disk.
	minDisk = 4 * GiB
	maxDisk = 1024 * GiB
	// usualMode are the permissions of a file when the lab file does not say.
	usualMode = 0o644
)

var (
	filePathForm = regexp.MustCompile(`^/[^\x00-\x1f\x7f:]+$`)
	fileModeForm = regexp.MustCompile(`^0?[0-7]{3}$`)
)

// FileSpec is an element of `files`.
type FileSpec struct {
	Pos     diag.Pos
	Path    Field[string]
	Mode    Field[uint32]
	Content Field[string]
}

// File is a file that a guest finds at its first start.
type File struct {
	Path    string `json:"path"`
	Mode    uint32 `json:"mode"`
	Content string `json:"content"`
}

func fileKeys() []key[FileSpec] {
	return []key[FileSpec]{
		scalarKey(key[FileSpec]{
			name: "path", required: true, schema: pattern(filePathForm, 255),
			doc: "Where the file lies in the guest, from the root.",
		}, "a path", parseFilePath, func(f *FileSpec) *Field[string] { return &f.Path }),
		scalarKey(key[FileSpec]{
			name: "content", required: true, schema: pattern(regexp.MustCompile(``), maxFileBytes),
			doc: "What is in it. A block scalar (|) keeps the lines as they are written.",
		}, "a text", parseContent, func(f *FileSpec) *Field[string] { return &f.Content }),
		scalarKey(key[FileSpec]{
			name: "mode", schema: defaulting(pattern(fileModeForm, 4), "0644"),
			doc: "Its permissions, as chmod takes them: 0644, 0755.",
		}, "three or four octal digits", parseMode, func(f *FileSpec) *Field[uint32] { return &f.Mode }),
	}
}

func parseFilePath(s scalar) (string, *diag.Diagnostic) {
	if d := text(s, "a path"); d != nil {
		return "", d
	}
	if len(s.value) > 255 || !filePathForm.MatchString(s.value) || path.Clean(s.value) != s.value {
		return "", diag.New(diag.BadFilePath, diag.Args{"path": s.value})
	}
	return s.value, nil
}

// parseContent takes any scalar as its text, numbers too: a file may hold just one.
func parseContent(s scalar) (string, *diag.Diagnostic) { return s.value, nil }

func parseMode(s scalar) (uint32, *diag.Diagnostic) {
	mode, err := strconv.ParseUint(strings.TrimPrefix(s.value, "0o"), 8, 12)
	if err != nil || !fileModeForm.MatchString(s.value) {
		return 0, diag.New(diag.BadFileMode, diag.Args{"mode": s.value})
	}
	return uint32(mode), nil
}

// parseDisk reads the size of a guest's disk.
func parseDisk(s scalar) (Size, *diag.Diagnostic) {
	size, d := parseSize(s)
	if d == nil && (size < minDisk || size > maxDisk) {
		return 0, diag.New(diag.BadDisk, diag.Args{"disk": size, "minimum": minDisk, "maximum": maxDisk})
	}
	return size, d
}

// checkFiles checks what only all files of a guest together tell, and that a guest without a disk asks for none.
func (d *decoder) checkFiles(g GuestSpec) {
	if image := g.Image.Or(DefaultImage); g.Disk.Set && image == DefaultImage {
		d.add(g.Disk.Pos, diag.DiskUnused, diag.Args{"guest": g.Name.Value, "image": image})
	}
	seen := map[string]int{}
	size := 0
	for _, f := range g.Files {
		if line, twice := seen[f.Path.Value]; twice && f.Path.Set {
			d.add(f.Path.Pos, diag.DuplicateName, diag.Args{"kind": "file", "name": f.Path.Value, "line": line})
		}
		seen[f.Path.Value] = f.Path.Pos.Line
		if size += len(f.Content.Value); size > maxFileBytes {
			d.add(f.Pos, diag.TooLarge, diag.Args{"what": "the files of " + g.Name.Value + " have too many bytes", "limit": maxFileBytes})
			return
		}
	}
}

// filesOf resolves a guest's files.
func filesOf(g GuestSpec) []File {
	var files []File
	for _, f := range g.Files {
		files = append(files, File{Path: f.Path.Value, Mode: f.Mode.Or(usualMode), Content: f.Content.Value})
	}
	return files
}
