package nstest

import (
	"errors"
	"io"
	"os"
	"testing"
)

// Printed runs fn, and returns what it prints on standard output. It is for examples that need rights: without an Output
// comment, `go test` does not run them itself, and a test can ask for the rights first. Nothing else may print meanwhile.
func Printed(tb testing.TB, fn func()) string {
	tb.Helper()
	file, err := os.CreateTemp(tb.TempDir(), "printed")
	if err != nil {
		tb.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = file
	defer func() { os.Stdout = stdout }()
	fn()
	_, err = file.Seek(0, io.SeekStart)
	text, readErr := io.ReadAll(file)
	if err := errors.Join(err, readErr, file.Close()); err != nil {
		tb.Fatal(err)
	}
	return string(text)
}
