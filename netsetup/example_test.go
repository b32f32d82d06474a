package netsetup_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup"
)

// A bridge with an address and a tap in it, made, made again, found by their marks, and removed.
func Example() {
	ctx := context.Background()
	net, err := netsetup.Open() // Of the network namespace that the caller is in.
	if err != nil {
		log.Fatal(err)
	}
	defer net.Close()

	owner := func(object string) netsetup.Owner { return netsetup.Owner{Lab: "example", Object: object} }
	bridge := netsetup.Bridge{Name: "br1", Address: netip.MustParsePrefix("192.168.1.1/24"), Owner: owner("br1")}
	tap := netsetup.Tap{Name: "tap1", Bridge: "br1", Owner: owner("tap1")}
	for range 2 { // What is as it should be is not touched.
		bridgeChanged, err := net.EnsureBridge(ctx, bridge)
		if err != nil {
			log.Fatal(err)
		}
		tapChanged, err := net.EnsureTap(ctx, tap)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("changed:", bridgeChanged, tapChanged)
	}

	links, err := net.Links(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, link := range links {
		if link.OwnedBy("example") {
			fmt.Println(link.Kind, link.Name, link.Addresses, link.Ports)
		}
	}
	removed, err := net.RemoveLinks(ctx, tap.Owner, bridge.Owner)
	fmt.Println("removed:", removed, err)
}

// TestExample runs Example in a network namespace of its own: it needs the rights to make links.
func TestExample(t *testing.T) {
	nstest.RequireTun(t)
	var printed string
	nstest.New(t).Must(t, func() error {
		printed = nstest.Printed(t, Example)
		return nil
	})
	const want = `changed: true true
changed: false false
bridge br1 [192.168.1.1/24] [tap1]
tap tap1 [] []
removed: 2 <nil>
`
	if diff := cmp.Diff(want, printed); diff != "" {
		t.Errorf("the example prints (-want +got):\n%s", diff)
	}
}
