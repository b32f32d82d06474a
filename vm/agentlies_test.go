package vm_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kvmlab/kvmlab/vm"
)

// request is a command to an agent.
type request struct {
	Execute   string `json:"execute"`
	Arguments struct {
		Path   string `json:"path"`
		Handle int    `json:"handle"`
		Count  int    `json:"count"`
		PID    int    `json:"pid"`
	} `json:"arguments"`
}

// liar is an agent that answers what its lie says; calls counts its answers, of which it gives no more than most.
type liar struct {
	lie         func(r request) string
	calls, most int
}

var errAskedTooOften = errors.New("it was asked too often")

func (l *liar) agent() *vm.Agent {
	return vm.AgentThat(func(ctx context.Context, _ int32, command string) (string, error) {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if l.calls++; l.calls > l.most {
			return "", errAskedTooOften
		}
		var r request
		if err := json.Unmarshal([]byte(command), &r); err != nil {
			return "", err
		}
		return l.lie(r), nil
	})
}

// chunkOf is an answer to guest-file-read.
func chunkOf(size int, eof bool) string {
	return fmt.Sprintf(`{"return":{"count":%d,"buf-b64":%q,"eof":%t}}`, size, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{'7'}, size)), eof)
}

// plausible answers as an agent does, but for what lies says.
func plausible(lies map[string]string) func(r request) string {
	honest := map[string]string{
		"guest-exec": `{"return":{"pid":1}}`, "guest-exec-status": `{"return":{"exited":true,"exitcode":0}}`,
		"guest-file-open": `{"return":1}`, "guest-file-read": chunkOf(0, true), "guest-file-close": `{"return":{}}`,
		"guest-file-write": `{"return":{"count":0}}`,
	}
	return func(r request) string {
		if answer, ok := lies[r.Execute]; ok {
			return answer
		}
		return honest[r.Execute]
	}
}

// counter is a writer that keeps nothing.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// TestAgentLies has an agent lie about a command and its output: it is found out before it has been followed for long.
func TestAgentLies(t *testing.T) {
	for name, lies := range map[string]map[string]string{
		"endless files":            {"guest-file-read": chunkOf(1<<20, false)},
		"more than was asked for":  {"guest-file-read": chunkOf(1<<20+1, true)},
		"empty pieces without end": {"guest-file-read": `{"return":{"count":0,"buf-b64":"","eof":true}}`},
		"no number":                {"guest-exec": `{"return":{"pid":"x"}}`},
		"a list":                   {"guest-exec": `{"return":[[[[[[]]]]]]}`},
		"no JSON":                  {"guest-exec": "\x1b[2J"},
		"a number out of range":    {"guest-exec-status": `{"return":{"exited":true,"exitcode":99999999999999999999}}`},
		"no base64":                {"guest-file-read": `{"return":{"count":1,"buf-b64":"!","eof":false}}`},
	} {
		t.Run(name, func(t *testing.T) {
			l := &liar{lie: plausible(lies), most: 200}
			var out counter
			_, err := l.agent().Exec(t.Context(), vm.Command{Args: []string{"true"}, Stdout: &out, Stderr: io.Discard})
			if !errors.Is(err, vm.ErrNonsense) || strings.Contains(fmt.Sprint(err), "\x1b") {
				t.Errorf("error %q after %d answers", err, l.calls)
			}
			if out.n > 32<<20 {
				t.Errorf("%d bytes were passed on", out.n)
			}
		})
	}
}

// TestAgentLiesAboutFiles has an agent lie about a file that is copied out of its guest.
func TestAgentLiesAboutFiles(t *testing.T) {
	status := func(said string) string {
		return fmt.Sprintf(`{"return":{"exited":true,"exitcode":0,"out-data":%q}}`, base64.StdEncoding.EncodeToString([]byte(said)))
	}
	for name, test := range map[string]struct {
		lies map[string]string
		want error
		most int64 // bytes that are written
	}{
		"more than it said":    {map[string]string{"guest-exec-status": status("5000000\n/root\n"), "guest-file-read": chunkOf(1<<20, false)}, vm.ErrChecksum, 5_000_000},
		"nothing, and endless": {map[string]string{"guest-exec-status": status("0\n/root\n"), "guest-file-read": chunkOf(1<<20, false)}, vm.ErrChecksum, 16 << 20},
		"less than it said":    {map[string]string{"guest-exec-status": status("5000000\n/root\n")}, vm.ErrChecksum, 0},
		"a size of words":      {map[string]string{"guest-exec-status": status("many\n/root\n")}, vm.ErrNonsense, 0},
		"a size below nothing": {map[string]string{"guest-exec-status": status("-1\n/root\n")}, vm.ErrNonsense, 0},
		"no size":              {map[string]string{"guest-exec-status": status("")}, vm.ErrNonsense, 0},
		"larger than a disk":   {map[string]string{"guest-exec-status": status("9000000000000000000\n/root\n")}, errTooLarge, 0},
		"larger than a number": {map[string]string{"guest-exec-status": status("99999999999999999999\n/root\n")}, vm.ErrNonsense, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := &liar{lie: plausible(test.lies), most: 200}
			var out counter
			_, err := l.agent().Download(t.Context(), "x", &out, func(size int64) error {
				if size > 1<<30 {
					return errTooLarge
				}
				return nil
			}, nil)
			if !errors.Is(err, test.want) || out.n > test.most {
				t.Errorf("error %v, want %v; %d bytes, and %d may come", err, test.want, out.n, test.most)
			}
		})
	}
}

var errTooLarge = errors.New("too large")

// TestAgentStalls has an agent that never comes to an end: a context ends whoever follows it, and the cleaning up too.
func TestAgentStalls(t *testing.T) {
	never := plausible(map[string]string{"guest-exec-status": `{"return":{"exited":false}}`, "guest-file-write": `{"return":{"count":4}}`})
	for name, do := range map[string]func(ctx context.Context, a *vm.Agent) error{
		"a script": func(ctx context.Context, a *vm.Agent) error {
			_, err := a.Output(ctx, "true")
			return err
		},
		"a copy out": func(ctx context.Context, a *vm.Agent) error {
			_, err := a.Download(ctx, "x", io.Discard, func(int64) error { return nil }, nil)
			return err
		},
		"a copy in": func(ctx context.Context, a *vm.Agent) error {
			_, err := a.Upload(ctx, strings.NewReader("data"), 4, "x", "x", "0644", nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- do(ctx, (&liar{lie: never, most: 1 << 30}).agent()) }()
			select {
			case err := <-ended:
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			case <-time.After(time.Minute):
				t.Fatal("it goes on")
			}
		})
	}
}

// FuzzAgent has an agent answer anything: nobody follows it for long when the context has ended, keeps much of what it
// says, or lets it act on a terminal.
func FuzzAgent(f *testing.F) {
	for _, lies := range []string{
		`{"return":{"pid":1}}` + "\n" + chunkOf(3, true) + "\n" + `{"return":{"exited":true,"exitcode":3}}` + "\n" + `{"return":7}`,
		`{"return":{"exited":true,"out-data":"NQovcm9vdAo="}}` + "\n" + chunkOf(5, false) + "\n" + `{"return":{"count":5}}`,
		"{\"return\":\"\x1b\"}\n{}\n[]\nnull\n" + `{"error":{"class":"x","desc":"y"}}`,
		strings.Repeat("[", 1000), `{"return":{"exited":true,"exitcode":1,"err-data":"G1sySg=="}}`,
	} {
		f.Add([]byte(lies))
	}
	f.Fuzz(func(t *testing.T, lies []byte) {
		answers := strings.Split(string(lies), "\n")
		at := 0
		next := func(request) string { at++; return answers[(at-1)%len(answers)] }
		for _, do := range []func(ctx context.Context, a *vm.Agent, out io.Writer) error{
			func(ctx context.Context, a *vm.Agent, out io.Writer) error {
				_, err := a.Exec(ctx, vm.Command{Args: []string{"x"}, Stdin: strings.NewReader("input"), Stdout: out, Stderr: out})
				return err
			},
			func(ctx context.Context, a *vm.Agent, out io.Writer) error {
				_, err := a.Download(ctx, "x", out, func(int64) error { return nil }, nil)
				return err
			},
			func(ctx context.Context, a *vm.Agent, _ io.Writer) error {
				_, err := a.Upload(ctx, strings.NewReader("input"), 5, "x", "x", "0644", nil)
				return err
			},
		} {
			synctest.Test(t, func(t *testing.T) { // nobody waits for the pauses between two questions
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				l := &liar{most: 60}
				l.lie = func(r request) string {
					if l.calls == 50 {
						cancel()
					}
					return next(r)
				}
				var out counter
				err := do(ctx, l.agent(), &out)
				if out.n > int64(60*(len(lies)+1)) {
					t.Errorf("%d bytes of %d answers", out.n, l.calls)
				}
				var script *vm.ScriptError
				if errors.As(err, &script) && (len(script.Stderr) > 20_000 || strings.Contains(script.Stderr, "\x1b")) {
					t.Errorf("%.300q", script.Stderr)
				}
			})
		}
	})
}

// FuzzIdentity has a guest say anything when it is given its identity.
func FuzzIdentity(f *testing.F) {
	f.Add([]byte("ok\n"))
	f.Add([]byte("noise\nparked\nok"))
	f.Add(bytes.Repeat([]byte{'x'}, 100_000))
	f.Fuzz(func(t *testing.T, said []byte) {
		port := struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(said), io.Discard}
		err := vm.ReadIdentity(port, []byte("hostname=pc1\nend\n"), "ok")
		if ok := strings.TrimSpace(strings.SplitN(string(said)+"\n", "\n", 2)[0]) == "ok"; ok && err != nil {
			t.Error(err)
		}
	})
}
