package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// fakeAPI serves the answers of one test as a node would.
func fakeAPI(t *testing.T, routes map[string]http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, handler := range routes {
		mux.HandleFunc(pattern, handler)
	}
	return fakeHandler(t, mux.ServeHTTP)
}

// fakeHandler gets every path as it was sent.
func fakeHandler(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// answering is a route that always says the same.
func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// outcome is what a command left behind.
type outcome struct {
	code     int
	out, err string
}

// runWith runs a command line in this process.
func runWith(in io.Reader, args ...string) outcome {
	var out, errs bytes.Buffer
	code := run(args, streams{in: in, out: &out, err: &errs})
	return outcome{code, out.String(), errs.String()}
}

// wants checks the exit code, and what standard error says of a failure.
func (o outcome) wants(t *testing.T, code int, said string) {
	t.Helper()
	if o.code != code || !strings.Contains(o.err, said) {
		t.Errorf("exit code %d, want %d; standard error %q, want %q in it", o.code, code, o.err, said)
	}
	if code != exitDone {
		if err := shortError("", o.err); err != nil {
			t.Errorf("%v: %q", err, o.err)
		}
	}
}

// background is a command in a process of its own, for signals and pipes.
type background struct {
	cmd       *exec.Cmd
	in        io.WriteCloser
	out       io.ReadCloser
	errs, got bytes.Buffer
}

const commandWait = 30 * time.Second

func startCommand(t *testing.T, dir string, args ...string) *background {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandWait)
	t.Cleanup(cancel)
	b := &background{cmd: exec.CommandContext(ctx, self, args...)}
	b.cmd.Dir = dir
	b.cmd.Env = append(os.Environ(), asProgram+"=1", raceOptions)
	b.cmd.Stderr = &b.errs
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if b.out, err = b.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return b
}

// end waits for the command. Its standard input stays open until then.
func (b *background) end(t *testing.T) outcome {
	t.Helper()
	_, _ = b.got.ReadFrom(b.out) // the end of the process ends it
	_ = b.cmd.Wait()             // its exit code says all
	_ = b.in.Close()
	return outcome{b.cmd.ProcessState.ExitCode(), b.got.String(), b.errs.String()}
}

func writeTemp(t *testing.T, name, text string) string {
	t.Helper()
	path := t.TempDir() + "/" + name
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
