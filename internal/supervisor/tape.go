package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// tapeSuffix is that of the files that a lab's capture is kept in: "dhcp-00000001.pcapng".
const tapeSuffix = ".pcapng"

// tape is a capture file that is being written. A frame is on it whole or not at all, and is handed to the kernel at
// once, so that it survives the end of this process, however it ends.
type tape struct {
	file  *os.File
	block bytes.Buffer
	out   *capture.Writer // into block
	size  int64
}

// newTape begins the file number n of a kind. One that cannot be begun leaves nothing behind.
func newTape(dir, kind string, n int, links []capture.Link) (*tape, error) {
	path := tapePath(dir, kind, n)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin capture file: %w", err)
	}
	t := &tape{file: file}
	if t.out, err = capture.NewWriter(&t.block, "kvmlab", links...); err == nil {
		err = t.save()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	return t, nil
}

// write appends a frame.
func (t *tape) write(f capture.Frame) error {
	if err := t.out.Write(f); err != nil {
		return err
	}
	return t.save()
}

// save hands what is in block to the kernel. What a full disk has taken a part of is cut off again.
func (t *tape) save() error {
	defer t.block.Reset()
	if err := t.out.Flush(); err != nil {
		return err
	}
	if _, err := t.file.WriteAt(t.block.Bytes(), t.size); err != nil {
		return errors.Join(fmt.Errorf("write capture file: %w", err), t.file.Truncate(t.size))
	}
	t.size += int64(t.block.Len())
	return nil
}

// close closes the file; a nil tape has none.
func (t *tape) close() error {
	if t == nil {
		return nil
	}
	return t.file.Close()
}

func tapePath(dir, kind string, n int) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%08d%s", kind, n, tapeSuffix))
}

// tapes lists the files of a kind, oldest first.
func tapes(dir, kind string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, kind+"-*"+tapeSuffix))
	if err != nil {
		return nil, fmt.Errorf("list captures: %w", err)
	}
	slices.Sort(files) // the numbers have leading zeros
	return files, nil
}

// tapeNumber is the number in a file's name, 0 for nil.
func tapeNumber(files []string, kind string) int {
	if len(files) == 0 {
		return 0
	}
	text := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(files[len(files)-1]), kind+"-"), tapeSuffix)
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// removeTapes removes files that are not wanted any more.
func removeTapes(files []string) error {
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("remove old capture file: %w", err)
		}
	}
	return nil
}
