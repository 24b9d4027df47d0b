// Package program builds and runs the examples for their tests.
package program

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// timeout bounds one wait; it is for programs that hang, not for slow ones.
const timeout = time.Minute

// Build compiles the command in folder and returns the path of the program. It
// skips short tests.
func Build(t testing.TB, folder string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts real programs")
	}
	bin := filepath.Join(t.TempDir(), "program.exe")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, folder).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", folder, err, out)
	}
	return bin
}

// Program is a running example.
type Program struct {
	t     testing.TB
	name  string
	lines chan string
}

// Start runs the program until the test ends.
func Start(t testing.TB, bin string, args ...string) *Program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatalf("start %s: %v", strings.Join(args, " "), err)
	}
	p := &Program{t: t, name: strings.Join(args, " "), lines: make(chan string, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
		_ = cmd.Wait() // it was killed
	}()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

// Line waits for a line that begins with prefix, and returns the rest of it.
func (p *Program) Line(prefix string) string {
	p.t.Helper()
	for late := time.After(timeout); ; {
		select {
		case line, ok := <-p.lines:
			if rest, found := strings.CutPrefix(line, prefix); found {
				return rest
			}
			if !ok {
				p.t.Fatalf("%s ended without printing %q", p.name, prefix)
			}
		case <-late:
			p.t.Fatalf("%s does not print %q", p.name, prefix)
		}
	}
}

// Output runs the program to its end and returns what it printed.
func Output(t testing.TB, bin string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
