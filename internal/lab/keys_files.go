package lab

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
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
	Path    yamlfile.Field[string]
	Mode    yamlfile.Field[uint32]
	Content yamlfile.Field[string]
}

// File is a file that a guest finds at its first start.
type File struct {
	Path    string `json:"path"`
	Mode    uint32 `json:"mode"`
	Content string `json:"content"`
}

func fileKeys() []yamlfile.Key[FileSpec] {
	return []yamlfile.Key[FileSpec]{
		yamlfile.ScalarKey(yamlfile.Key[FileSpec]{
			Name: "path", Required: true, Schema: yamlfile.Pattern(filePathForm, 255),
			Doc: "Where the file lies in the guest, from the root.",
		}, "a path", parseFilePath, func(f *FileSpec) *yamlfile.Field[string] { return &f.Path }),
		yamlfile.ScalarKey(yamlfile.Key[FileSpec]{
			Name: "content", Required: true, Schema: yamlfile.Pattern(regexp.MustCompile(``), maxFileBytes),
			Doc: "What is in it. A block scalar (|) keeps the lines as they are written.",
		}, "a text", parseContent, func(f *FileSpec) *yamlfile.Field[string] { return &f.Content }),
		yamlfile.ScalarKey(yamlfile.Key[FileSpec]{
			Name: "mode", Schema: yamlfile.Defaulting(yamlfile.Pattern(fileModeForm, 4), "0644"),
			Doc: "Its permissions, as chmod takes them: 0644, 0755.",
		}, "three or four octal digits", parseMode, func(f *FileSpec) *yamlfile.Field[uint32] { return &f.Mode }),
	}
}

func parseFilePath(s yamlfile.Scalar) (string, *diag.Diagnostic) {
	if d := yamlfile.RequireText(s, "a path"); d != nil {
		return "", d
	}
	if len(s.Value) > 255 || !filePathForm.MatchString(s.Value) || path.Clean(s.Value) != s.Value {
		return "", diag.New(diag.BadFilePath, diag.Args{"path": s.Value})
	}
	return s.Value, nil
}

// parseContent takes any scalar as its text, numbers too: a file may hold just one.
func parseContent(s yamlfile.Scalar) (string, *diag.Diagnostic) { return s.Value, nil }

func parseMode(s yamlfile.Scalar) (uint32, *diag.Diagnostic) {
	mode, err := strconv.ParseUint(strings.TrimPrefix(s.Value, "0o"), 8, 12)
	if err != nil || !fileModeForm.MatchString(s.Value) {
		return 0, diag.New(diag.BadFileMode, diag.Args{"mode": s.Value})
	}
	return uint32(mode), nil
}

// parseDisk reads the size of a guest's disk.
func parseDisk(s yamlfile.Scalar) (Size, *diag.Diagnostic) {
	size, d := parseSize(s)
	if d == nil && (size < minDisk || size > maxDisk) {
		return 0, diag.New(diag.BadDisk, diag.Args{"disk": size, "minimum": minDisk, "maximum": maxDisk})
	}
	return size, d
}

// checkFiles checks what only all files of a guest together tell, and that a guest without a disk asks for none.
func checkFiles(d *yamlfile.Decoder, g GuestSpec) {
	if image := g.Image.Or(DefaultImage); g.Disk.Set && image == DefaultImage {
		d.Add(g.Disk.Pos, diag.DiskUnused, diag.Args{"guest": g.Name.Value, "image": image})
	}
	seen := map[string]int{}
	size := 0
	for _, f := range g.Files {
		if line, twice := seen[f.Path.Value]; twice && f.Path.Set {
			d.Add(f.Path.Pos, diag.DuplicateName, diag.Args{"kind": "file", "name": f.Path.Value, "line": line})
		}
		seen[f.Path.Value] = f.Path.Pos.Line
		if size += len(f.Content.Value); size > maxFileBytes {
			d.Add(f.Pos, diag.TooLarge, diag.Args{"what": "the files of " + g.Name.Value + " have too many bytes", "limit": maxFileBytes})
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
