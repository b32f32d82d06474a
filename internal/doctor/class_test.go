package doctor_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/doctor"
)

func TestClassNeeds(t *testing.T) {
	needs := doctor.ClassNeeds{
		Memory: 500, Boot: 6 * time.Second, Idle: 0.02, FreeMemory: 16 << 10, FreeDisk: 100 << 10, Cores: 2,
	}
	if labs, first := needs.Limit(); labs != 29 || first != doctor.Memory {
		t.Errorf("%d labs by %v", labs, first)
	}
	if _, limited := needs.Fits()[doctor.Disk]; limited {
		t.Error("labs without disks are limited by the disk")
	}
	if ready := needs.Ready(30); ready != 90*time.Second {
		t.Errorf("30 labs need %v", ready)
	}
	needs.Idle = 0.1
	if labs, first := needs.Limit(); labs != 10 || first != doctor.Processor {
		t.Errorf("busy labs: %d by %v", labs, first)
	}
	needs.Disk = 20 << 10
	if labs, first := needs.Limit(); labs != 4 || first != doctor.Disk {
		t.Errorf("labs with disks: %d by %v", labs, first)
	}
}

func TestReadUsage(t *testing.T) {
	u, err := doctor.ReadUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if u.PSS < 1 || u.PSS > 4096 || u.CPU < 0 || u.CPU > time.Hour {
		t.Errorf("this process: %+v", u)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := doctor.ReadUsages([]int{os.Getpid(), gone.Process.Pid}); err == nil {
		t.Error("a process that is gone has a use")
	}
}
