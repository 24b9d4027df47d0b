//go:build unix

package main

import (
	"io/fs"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestInterruptedInput ends commands that wait for what they shall send. That a
// pipe can be opened shows that the other end reads.
func TestInterruptedInput(t *testing.T) {
	for _, args := range []string{"record put n pipe", "value put pipe", "did put did:mcc:z6Mk pipe", "did put pipe"} {
		t.Run(args, func(t *testing.T) {
			dir := t.TempDir()
			if err := syscall.Mkfifo(dir+"/pipe", 0o600); err != nil {
				t.Skip("no named pipes here: ", err)
			}
			b := startCommand(t, dir, strings.Fields(args)...)
			pipe, err := os.OpenFile(dir+"/pipe", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer pipe.Close()
			if err := b.cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			b.end(t).wants(t, exitFailure, "interrupt")
		})
	}
}

// TestBlobGetIntoAPipe wants what is no regular file to be written to, not
// replaced. It takes a pipe of its own: a device of the system would be gone if
// the test failed.
func TestBlobGetIntoAPipe(t *testing.T) {
	api := fakeAPI(t, map[string]http.HandlerFunc{"GET /api/v1/blobs/" + idOf("content"): answering(http.StatusOK, "content")})
	pipe := t.TempDir() + "/pipe"
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip("no named pipes here: ", err)
	}
	// Opened for both, it neither waits for a writer nor ends.
	end, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	runWith(nil, "blob", "get", "-api", api, idOf("content"), "-o", pipe).wants(t, exitDone, "")
	if info, err := os.Stat(pipe); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		t.Fatalf("the pipe was replaced: %v, %v", info.Mode(), err)
	}
	got := make([]byte, 100)
	if n, err := end.Read(got); err != nil || string(got[:n]) != "content" {
		t.Errorf("the pipe has %q, %v", got[:n], err)
	}
}
