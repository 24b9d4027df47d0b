package rest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	mcc "github.com/staex-mcc/mcc"
)

func TestListen(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1", "unix:", "nonsense"} {
		if ln, err := Listen(bad); !errors.Is(err, mcc.ErrInvalid) {
			t.Errorf("%q: %v %v", bad, ln, err)
		}
	}
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := Listen(ln.Addr().String()); !errors.Is(err, mcc.ErrInUse) {
		t.Errorf("a taken port: %v", err)
	}
}

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	ln, err := Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	if _, err := Listen("unix:" + path); !errors.Is(err, mcc.ErrInUse) {
		t.Errorf("a socket in use: %v", err)
	}
	// As a process that was killed leaves it.
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	ln, err = Listen("unix:" + path)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	s := NewServer(newHandler(t, newFakeNode(), Options{}))
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}
	resp, err := (&http.Client{Transport: tr}).Get("http://localhost/healthz")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	tr.CloseIdleConnections()
	if resp.StatusCode != 200 || !strings.Contains(string(text), "ok") {
		t.Errorf("%s %s", resp.Status, text)
	}
	s.Close()
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}

	file := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:" + file); err == nil {
		t.Error("a file was replaced by a socket")
	}
	if text, _ := os.ReadFile(file); string(text) != "x" {
		t.Error("the file is gone")
	}
}

func TestNewServer(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	s := NewServer(newHandler(t, newFakeNode(), Options{Logger: zap.New(core)}))
	if s.WriteTimeout != 0 || s.ReadTimeout != 0 || s.ReadHeaderTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("%+v", s)
	}
	s.ErrorLog.Print("trouble")
	if logs.FilterMessage("trouble").Len() != 1 {
		t.Error("the server's errors are not in the log")
	}
}

// Closing is possible twice, and after a drain.
func TestClose(t *testing.T) {
	h, err := New(newFakeNode(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	wantProblem(t, do(t, h, "GET /", "", "Host: files.mcc"), 503, "closed")
	if w := do(t, h, "GET /api/v1/node", ""); w.Code != 200 {
		t.Errorf("the API ended with the watches: %d", w.Code)
	}
}
