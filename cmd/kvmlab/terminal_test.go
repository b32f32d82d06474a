package main_test

import (
	"context"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// typist sits at a guest's console through `kvmlab console`: it types, and waits for what comes.
type typist struct {
	t     *testing.T
	cmd   *exec.Cmd
	keys  io.WriteCloser
	guest string

	mu   sync.Mutex
	text []byte
	seen int // what expect has passed
	more chan struct{}
}

// expectLimit bounds the wait for one text: a guest without hardware virtualisation on a busy machine takes its time.
const expectLimit = 4 * time.Minute

// sitDown opens a guest's console for the length of the test.
func (s *sandbox) sitDown(t *testing.T, guest string, flags ...string) *typist {
	t.Helper()
	limit := commandLimit
	if deadline, ok := t.Deadline(); ok {
		limit = time.Until(deadline) // some sit there for longer than any command takes
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	p := &typist{t: t, guest: guest, more: make(chan struct{}, 1)}
	p.cmd = s.command(ctx, "kvmlab", append([]string{"console", guest}, flags...)...)
	var err error
	if p.keys, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Ctrl-] leaves the console. What does not, the end of the sandbox ends; how is of no interest.
		_, _ = io.WriteString(p.keys, "\x1d")
		time.AfterFunc(10*time.Second, cancel)
		_ = p.cmd.Wait()
		cancel()
		if t.Failed() {
			t.Logf("console of %s:\n%s", guest, p.all())
		}
	})
	return p
}

// Write takes down what the console shows.
func (p *typist) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = append(p.text, text...)
	select {
	case p.more <- struct{}{}:
	default:
	}
	return len(text), nil
}

func (p *typist) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.text)
}

// types types keys.
func (p *typist) types(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.keys, keys); err != nil {
		p.t.Fatal(err)
	}
}

// expect waits for a pattern after what was last expected, and returns what matched.
func (p *typist) expect(pattern string) string {
	p.t.Helper()
	form := regexp.MustCompile(pattern)
	limit := time.After(expectLimit)
	for {
		all := p.all()
		if at := form.FindStringIndex(all[p.seen:]); at != nil {
			match := all[p.seen+at[0] : p.seen+at[1]]
			p.seen += at[1]
			return match
		}
		select {
		case <-p.more:
		case <-limit:
			p.t.Fatalf("the console of %s never said %q after:\n%s", p.guest, pattern, all[:p.seen])
		}
	}
}

// login logs in as root. The prompt may have passed long ago, so Enter asks for it again.
func (p *typist) login() {
	p.t.Helper()
	p.types("\r")
	p.expect(`login: `)
	p.types("root\r")
	p.expect(`Password: `)
	p.types("kvmlab\r")
	p.expect(`root@\w+:~# `)
	// A serial line tells no size, and a shell that takes it for 80 columns breaks longer lines in their echo.
	p.types("stty cols 250\r")
	p.expect(`root@\w+:~# `)
}

// leave leaves the console; who is logged in there stays so.
func (p *typist) leave() {
	p.t.Helper()
	p.types("\x1d")
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("leave the console of %s: %v", p.guest, err)
	}
}

// command types a command, waits for the next prompt, and returns what was printed in between.
func (p *typist) command(line string) string {
	p.t.Helper()
	p.types(line + "\r")
	p.expect(regexp.QuoteMeta(lastWords(line)))
	out := p.expect(`(?s).*?root@\w+:\S+# `)
	return strings.TrimSpace(strings.ReplaceAll(controls.ReplaceAllString(out, ""), "\r", ""))
}

// controls are what readline says to a terminal, and nobody reads: bracketed paste on and off, say.
var controls = regexp.MustCompile(`\x1b\[[?0-9;]*[A-Za-z]`)

// lastWords is the end of a line as it is echoed, whole even where the terminal wraps a long one.
func lastWords(line string) string { return line[max(0, len(line)-8):] }

// file types a file, line by line, as a student without an editor does.
func (p *typist) file(path, content string) {
	p.t.Helper()
	p.types("cat > " + path + " << 'END'\r")
	for line := range strings.Lines(content) {
		p.expect(`> $`)
		p.types(strings.TrimSuffix(line, "\n") + "\r")
	}
	p.expect(`> $`)
	p.types("END\r")
	p.expect(`root@\w+:\S+# `)
}
