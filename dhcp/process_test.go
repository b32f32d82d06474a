package dhcp_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// serverEnv makes the test binary a DHCP server: it holds the job as JSON.
const serverEnv = "KVMLAB_TEST_DHCP_SERVER"

// job is what a server process is to do.
type job struct {
	Config dhcp.Config
	Leases string
}

func TestMain(m *testing.M) {
	if text := os.Getenv(serverEnv); text != "" {
		if err := serveJob(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == p.DefValue {
		// These tests wait for frames, disks and timers much more than they compute.
		_ = flag.Set("test.parallel", "8")
	}
	os.Exit(m.Run())
}

// serveJob serves until SIGTERM, and writes a line when it listens.
func serveJob(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	srv, err := dhcp.Open(j.Config, dhcp.Options{LeaseDir: j.Leases})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Println("ready")
	return srv.Serve(ctx)
}

// process is kvmlab's server as a process of its own.
type process struct {
	w   *wire
	job job
	cmd *exec.Cmd
}

func startProcess(tb testing.TB, w *wire, set setup) (running, error) {
	tb.Helper()
	p := &process{w: w, job: job{Config: set.config(), Leases: tb.TempDir()}}
	if err := p.run(tb); err != nil {
		return nil, err
	}
	tb.Cleanup(p.kill)
	return p, nil
}

// run starts the process and waits until it listens.
func (p *process) run(tb testing.TB) error {
	tb.Helper()
	text, err := json.Marshal(p.job)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p.cmd = p.w.servers.Command(context.Background(), self)
	p.cmd.Env = append(os.Environ(), serverEnv+"="+string(text))
	return launch(p.cmd, "ready")
}

// kill is SIGKILL: nothing of the process runs any more when it returns.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *process) restart(tb testing.TB) error {
	tb.Helper()
	p.kill()
	return p.run(tb)
}

func (p *process) pass(d time.Duration)  { time.Sleep(d) }
func (p *process) ring() *dhcp.EventRing { return nil }
