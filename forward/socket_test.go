//go:build unix

package forward

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mcc") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestUnixEntrance(t *testing.T) {
	path := socketPath(t)
	e := newTestEntrances(t, Config{Dial: dialTo(serveTCP(t, echo))})
	info, _ := addEntrance(t, e, Spec{Service: "echo", Address: "unix://" + path})
	if info.Address != "unix:"+path {
		t.Errorf("Address = %q", info.Address)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != socketMode {
		t.Errorf("mode %v, %v; want 0600", fi.Mode(), err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send(t, c, "x")
	wantRead(t, c, "x")

	if _, err := e.Add(t.Context(), Spec{Service: "echo", Address: "unix:" + path}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second listener: %v; want that it is in use", err)
	}
	if err := e.Remove(info.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket file after Remove: %v", err)
	}
}

func TestUnixStaleSocket(t *testing.T) {
	path := socketPath(t)
	crashed, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	crashed.SetUnlinkOnClose(false)
	crashed.Close()
	ln, err := listenUnix(t.Context(), path)
	if err != nil {
		t.Fatalf("a stale socket stays in the way: %v", err)
	}
	// Somebody else takes the path over: their file is not ours to remove.
	os.Remove(path)
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ln.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other's socket is gone: %v", err)
	}
}

func TestUnixKeepsOtherFiles(t *testing.T) {
	path := socketPath(t)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(t.Context(), path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listen on a file: %v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file holds %q, %v", b, err)
	}
}
