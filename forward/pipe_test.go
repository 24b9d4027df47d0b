package forward

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
)

func TestPipeIsConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := Pipe()
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

func TestPipeBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		defer a.Close()
		a.SetWriteDeadline(time.Now().Add(time.Minute))
		data := pattern(pipeSize + 1000)
		if n, err := a.Write(data); n != pipeSize || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Write = %d, %v; want %d and the deadline", n, err, pipeSize)
		}
		a.SetWriteDeadline(time.Time{})
		got := make([]byte, 5000)
		if _, err := io.ReadFull(b, got); err != nil {
			t.Fatal(err)
		}
		// The rest wraps round the end of the ring.
		if n, err := a.Write(data[pipeSize:]); n != 1000 || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
		a.Close()
		rest, err := io.ReadAll(b)
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, append(got, rest...), data)
		b.Close()
	})
}

func TestPipeHalfClose(t *testing.T) {
	a, b := Pipe()
	send(t, a, "question")
	a.CloseWrite()
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after CloseWrite: %v", err)
	}
	wantRead(t, b, "question")
	wantEOF(t, b)
	send(t, b, "answer")
	b.Close()
	wantRead(t, a, "answer")
	wantEOF(t, a)
	a.Close()
}

func TestPipeReset(t *testing.T) {
	a, b := Pipe()
	send(t, a, "lost")
	a.Reset()
	if _, err := b.Read(make([]byte, 8)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read after a reset: %v", err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after a reset: %v", err)
	}
	if _, err := a.Read(make([]byte, 8)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read on the end that was reset: %v", err)
	}
	b.Close()
}
