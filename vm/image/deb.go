package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// The ar format of deb(5): a magic line, then members with a header of 60 bytes.
const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
)

// walkDeb calls visit for every entry of a package's file system. Names are
// clean, relative and without a "usr/" in front (merged-/usr packages have it,
// older ones do not). Errors: ErrNotPackage; what visit returns.
func walkDeb(ctx context.Context, file string, visit func(h *tar.Header, r io.Reader) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // opened to be read

	data, err := dataMember(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	tr := tar.NewReader(data)
	for ctx.Err() == nil {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		h.Name = strings.TrimPrefix(strings.TrimPrefix(path.Clean("/"+h.Name), "/"), "usr/")
		if err := visit(h, tr); err != nil {
			return fmt.Errorf("read %s: %s: %w", file, h.Name, err)
		}
	}
	return context.Cause(ctx)
}

// dataMember finds data.tar.* in the ar archive r and returns it unpacked.
func dataMember(r io.Reader) (io.Reader, error) {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != arMagic {
		return nil, ErrNotPackage
	}
	for {
		header := make([]byte, arHeaderSize)
		if _, err := io.ReadFull(r, header); err != nil {
			return nil, fmt.Errorf("%w: it has no data.tar", ErrNotPackage)
		}
		name := strings.TrimRight(string(header[:16]), " /")
		size, err := strconv.ParseUint(strings.TrimRight(string(header[48:58]), " "), 10, 40)
		if err != nil || header[58] != '`' || header[59] != '\n' {
			return nil, fmt.Errorf("%w: member %q has a bad header", ErrNotPackage, name)
		}
		if strings.HasPrefix(name, "data.tar") {
			return decompress(io.LimitReader(r, int64(size)))
		}
		// Members begin at even offsets.
		if _, err := io.CopyN(io.Discard, r, int64(size+size%2)); err != nil {
			return nil, fmt.Errorf("%w: it ends in member %q", ErrNotPackage, name)
		}
	}
}

// decompress unpacks xz, zstd and gzip, told apart by their first bytes; anything
// else is passed on as it is.
func decompress(r io.Reader) (io.Reader, error) {
	head := make([]byte, 6)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	head = head[:n]
	whole := io.MultiReader(bytes.NewReader(head), r)
	switch {
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return xz.NewReader(whole)
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(whole, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return gzip.NewReader(whole)
	}
	return whole, nil
}
