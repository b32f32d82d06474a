package watch_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/watch"
)

// TestJudge: the ways in which people write right answers are right, and others are wrong. The truth is the packet's.
func TestJudge(t *testing.T) {
	t.Parallel()
	all, _ := records(t)
	discover, offer := all[0], all[1]
	tests := []struct {
		r     *watch.Record
		field watch.PredictField
		right []string
		wrong []string
	}{
		{discover, watch.PredictType, []string{"discover", "DHCPDISCOVER", "dhcp discover", "1"}, []string{"offer", "2", ""}},
		{discover, watch.PredictMAC, []string{"ff:ff:ff:ff:ff:ff", "FF-FF-FF-FF-FF-FF", "ffffffffffff", "Broadcast", "difusión", "difusio", "tothom"}, []string{"pc1", "server", "", "ff:ff:ff:ff:ff"}},
		{discover, watch.PredictIP, []string{"255.255.255.255", "difusión", " broadcast "}, []string{"192.168.1.1", "192.168.1.255", ""}},
		{discover, watch.PredictPort, []string{"67", "bootps", "67/udp", "udp 67", "servidor"}, []string{"68", "bootpc", "six", ""}},
		{offer, watch.PredictType, []string{"OFFER", "dhcpoffer", "2"}, []string{"ack", "5"}},
		{offer, watch.PredictMAC, []string{"6a:77:72:ca:a2:85", "6a7772caa285", "pc1"}, []string{"broadcast", "server"}},
		{offer, watch.PredictIP, []string{"192.168.1.9"}, []string{"broadcast", "192.168.1.1"}},
		{offer, watch.PredictPort, []string{"68", "client"}, []string{"67"}},
		{offer, watch.PredictServer, []string{"192.168.1.1"}, []string{"192.168.1.9"}},
		{offer, watch.PredictOffered, []string{"192.168.1.9"}, []string{"192.168.1.1", "0.0.0.0"}},
	}
	for _, test := range tests {
		t.Run(test.r.DHCP.Type.String()+" "+string(test.field), func(t *testing.T) {
			t.Parallel()
			say := speaker(t, "en")
			for _, answer := range test.right {
				if got := test.r.Judge(test.field, answer, say); !got.Right || got.Truth == "" || got.Why == "" {
					t.Errorf("%q: %+v", answer, got)
				}
			}
			for _, answer := range test.wrong {
				if got := test.r.Judge(test.field, answer, say); got.Right {
					t.Errorf("%q is right: %+v", answer, got)
				}
			}
		})
	}
	if q := all[4].Questions(); q != nil {
		t.Errorf("a packet that is no DHCP message asks %v", q)
	}
	for _, r := range all[:4] {
		if n := len(r.Questions()); n < 2 || n > 3 {
			t.Errorf("%s asks %d questions", r.Note, n)
		}
	}
}

func TestReadPredictions(t *testing.T) {
	t.Parallel()
	got, err := watch.ReadPredictions(strings.NewReader("# names\n\n2 dst_mac broadcast\n 2 TYPE dhcp offer\n3 dst_ip\n"))
	want := watch.Predictions{2: {"dst_mac": "broadcast", "type": "dhcp offer"}, 3: {"dst_ip": ""}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	for _, bad := range []string{"two type offer", "2", "0 type ack", "2 colour red"} {
		if _, err := watch.ReadPredictions(strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}
