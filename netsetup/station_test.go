package netsetup_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/songgao/water"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// openTap opens a tap that exists, as a guest's network card.
func openTap(tb testing.TB, ns *nstest.Namespace, name string) io.ReadWriteCloser {
	tb.Helper()
	var card *water.Interface
	err := ns.Do(func() (err error) {
		config := water.Config{DeviceType: water.TAP}
		config.Name, config.Persist = name, true
		card, err = water.New(config)
		return err
	})
	if err != nil {
		tb.Fatalf("open %s: %v", name, errors.Join(err, fmt.Errorf("in %s", ns.Path())))
	}
	return card
}
