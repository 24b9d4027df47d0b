//go:build unix

package program

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestStop ends the examples that stay with the signals of a terminal and of a
// service manager. Both are a proper end: exit code 0.
func TestStop(t *testing.T) {
	file := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, line string
		args       []string
	}{
		{"embed-echo", "listening on ", []string{"offer"}},
		{"http-service", "listening on ", nil},
		{"did-and-blob", "did ", []string{"publish", file}},
		{"service-watch", "watching files", []string{"-boot", "127.0.0.1:1", "files"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bin := Build(t, "../../"+tt.name)
			for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
				if err := stopped(t, sig, tt.line, bin, tt.args...); err != nil {
					t.Errorf("%v: %v", sig, err)
				}
			}
		})
	}
}

// stopped signals a program when it has printed a line, and waits for its end.
func stopped(t *testing.T, sig os.Signal, line, bin string, args ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), line) {
	}
	if err := cmd.Process.Signal(sig); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, out) // its end is the program's
	return cmd.Wait()
}
