package untrusted_test

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kvmlab/kvmlab/untrusted"
)

// A guest says what it is called, and it says more than it should.
func Example() {
	fmt.Println(untrusted.Visible("portàtil-de-josé"))
	fmt.Println(untrusted.Visible("pc1\x1b[2J\u202e"))
	fmt.Println(untrusted.Cell("=HYPERLINK(\"http://192.0.2.1\")"))

	_, err := io.ReadAll(untrusted.Reader(strings.NewReader("a file without end"), 6))
	fmt.Println(errors.Is(err, untrusted.ErrTooMuch))
	// Output:
	// portàtil-de-josé
	// pc1\x1b[2J\u202e
	// '=HYPERLINK("http://192.0.2.1")
	// true
}
