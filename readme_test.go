package mcc_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// readmePrograms returns the Go snippets of the README.
func readmePrograms(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var programs []string
	for _, m := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		programs = append(programs, m[1])
	}
	if len(programs) != 2 {
		t.Fatalf("the README has %d Go snippets, want the two programs", len(programs))
	}
	return programs
}

// TestReadmeProgramsAreTheExamples keeps the README honest: each snippet stands
// in an example to the letter.
func TestReadmeProgramsAreTheExamples(t *testing.T) {
	for i, file := range []string{"examples/offer/main.go", "examples/call/main.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := "\t" + strings.ReplaceAll(strings.TrimSuffix(readmePrograms(t)[i], "\n"), "\n", "\n\t")
		if !strings.Contains(string(source), strings.ReplaceAll(want, "\n\t\n", "\n\n")) {
			t.Errorf("%s does not contain README program %d", file, i+1)
		}
	}
}

// TestReadmePrograms runs both as a newcomer would: one offers a folder, the
// other lists it by name. They use the fixed port of the README, so the test
// skips where somebody else has it.
func TestReadmePrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real programs")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "greeting.txt"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	bin := t.TempDir()
	build := exec.CommandContext(ctx, "go", "build", "-o", bin, "./examples/offer", "./examples/call")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	offer := exec.CommandContext(ctx, filepath.Join(bin, "offer"))
	offer.Dir = dir
	var log strings.Builder
	offer.Stderr = &log
	if err := offer.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- offer.Wait() }()
	var out []byte
	for err := errors.New("not tried"); err != nil; {
		out, err = exec.CommandContext(ctx, filepath.Join(bin, "call")).CombinedOutput()
		select {
		case <-ended:
			if strings.Contains(log.String(), "in use") {
				t.Skip("127.0.0.1:9376 is taken on this machine")
			}
			t.Fatalf("the offering program ended: %s", log.String())
		default:
		}
		// The offering program may still be starting.
		if err != nil && (ctx.Err() != nil || !strings.Contains(string(out), "no provider")) {
			t.Fatalf("calling program: %v\n%s", err, out)
		}
	}
	_ = offer.Process.Kill()
	<-ended
	if !strings.Contains(string(out), "greeting.txt") {
		t.Fatalf("calling program: %s", out)
	}
}
