package main

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogPrefixTag builds with the tag mcclogprefix and reads names from the
// log; that they lack the prefix without it, start.txt proves.
func TestLogPrefixTag(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a second program")
	}
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "mcc")
	if out, err := exec.Command("go", "build", "-tags", "mcclogprefix", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), scriptWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, "-listen", "127.0.0.1:0", "-http", "off", "-data-folder", t.TempDir(), "-log-format", "json")
	logs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for lines := bufio.NewScanner(logs); lines.Scan(); {
		if line := lines.Text(); strings.Contains(line, `"logger":"mcc.transport`) {
			return
		}
	}
	t.Fatal("no name with the prefix mcc. in the log")
}
