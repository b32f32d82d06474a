package macgen_test

import (
	"crypto/rand"
	"fmt"
	"log"

	"github.com/kvmlab/kvmlab/macgen"
)

// A guest's address is drawn at random, and drawn again while another card has it.
func ExampleRandom() {
	used := map[macgen.MAC]bool{}
	for range 3 {
		mac, err := macgen.Random(rand.Reader, func(m macgen.MAC) bool { return used[m] })
		if err != nil {
			log.Fatal(err)
		}
		used[mac] = true
		fmt.Println(mac.String()[:3], macgen.ValidateStation(mac))
	}
	// Output:
	// 02: <nil>
	// 02: <nil>
	// 02: <nil>
}

// The same seed and name give the same address, on every host.
func ExampleDerive() {
	for _, guest := range []string{"pc1", "pc2", "pc1"} {
		mac, err := macgen.Derive([]byte("class of 2027"), guest, nil)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(guest, mac)
	}
	// Output:
	// pc1 02:e7:5e:6c:fb:c5
	// pc2 02:89:56:30:c9:1b
	// pc1 02:e7:5e:6c:fb:c5
}

func ExampleExplain() {
	mac, err := macgen.Parse("02:5e:10:00:00:01")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(macgen.Explain(mac))
	// Output:
	// The first octet of 02:5e:10:00:00:01 is 02, in binary 0000 0010: its lowest bit is 0, so it names one station (unicast); the bit before it is 1, so it was assigned locally, by whoever runs this network.
}
