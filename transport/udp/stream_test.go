package udp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/staex-mcc/mcc/transport"
)

func TestNetTest(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		ch := accepted(t, b)
		c1, err = a.Dial(limit(t), b.Local(), transport.Open{Protocol: "nettest"})
		if err != nil {
			return nil, nil, nil, err
		}
		c2 = <-ch
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	})
}

func TestCloseDeliversWhatWasWritten(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	s, other := connected(t, a, b)
	data := bytes.Repeat([]byte("0123456789abcdef"), 20000)
	go func() {
		if _, err := s.Write(data); err != nil {
			t.Errorf("write: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	got, err := io.ReadAll(other)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(data))
	}
	want(t, "second close", s.Close(), net.ErrClosed)
	_, err = s.Read(make([]byte, 1))
	want(t, "read after close", err, net.ErrClosed)
	_, err = s.Write(make([]byte, 1))
	want(t, "write after close", err, net.ErrClosed)
	want(t, "deadline after close", s.SetDeadline(time.Now()), net.ErrClosed)
}

func TestPeerWritesAfterClose(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	s, other := connected(t, a, b)
	s.Close()
	var err error
	for err == nil {
		_, err = other.Write(make([]byte, 1000))
	}
	want(t, "write to a closed stream", err, transport.ErrReset)
	if _, err := other.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read of a closed stream: %v, want EOF", err)
	}
}

func TestCloseWrite(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	s, other := connected(t, a, b)
	mustWrite(t, s, "question")
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	want(t, "second CloseWrite", s.CloseWrite(), net.ErrClosed)
	want(t, "write deadline after CloseWrite", s.SetWriteDeadline(time.Now()), net.ErrClosed)
	_, err := s.Write([]byte("x"))
	want(t, "write after CloseWrite", err, net.ErrClosed)
	if got, err := io.ReadAll(other); string(got) != "question" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	mustWrite(t, other, "answer")
	other.Close()
	if err := s.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Errorf("deadline after CloseWrite: %v", err)
	}
	if got, err := io.ReadAll(s); string(got) != "answer" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestReset(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	s, other := connected(t, a, b)
	read := make(chan error, 1)
	go func() {
		_, err := other.Read(make([]byte, 1))
		read <- err
	}()
	s.Reset()
	want(t, "read of a reset stream", <-read, transport.ErrReset)
	var err error
	for err == nil {
		_, err = other.Write(make([]byte, 1000))
	}
	want(t, "write to a reset stream", err, transport.ErrReset)
	_, err = s.Read(make([]byte, 1))
	want(t, "own read after Reset", err, net.ErrClosed)
	_, err = s.Write([]byte("x"))
	want(t, "own write after Reset", err, net.ErrClosed)
	want(t, "close after Reset", s.Close(), net.ErrClosed)
}

// TestCloseEndsBlockedWrite fills the windows until Write blocks.
func TestCloseEndsBlockedWrite(t *testing.T) {
	for name, end := range map[string]func(transport.Stream){
		"Close": func(s transport.Stream) { s.Close() }, "Reset": transport.Stream.Reset,
		"CloseWrite": func(s transport.Stream) { s.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := node(t, "alice"), node(t, "bob")
			s, _ := connected(t, a, b)
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					var err error
					for err == nil {
						_, err = s.Write(make([]byte, 1<<20))
					}
					want(t, "blocked write", err, net.ErrClosed)
				})
			}
			before := uint64(0)
			eventually(t, "the write blocks", func() bool {
				now := a.conns.newest(time.Now())[0].qc.ConnectionStats().BytesSent
				blocked := now == before && now > 500<<10
				before = now
				return blocked
			})
			// A deadline moved at the same time must not keep the writers.
			stop := make(chan struct{})
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						s.SetWriteDeadline(time.Now().Add(time.Hour))
					}
				}
			})
			end(s)
			close(stop)
			wg.Wait()
		})
	}
}

func TestDeadlineIsANetError(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	s, _ := connected(t, a, b)
	s.SetReadDeadline(time.Unix(1, 0))
	_, err := s.Read(make([]byte, 1))
	want(t, "read", err, os.ErrDeadlineExceeded)
	if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
		t.Errorf("%T %v is no timeout", err, err)
	}
}

func TestStreamEndsWithTransport(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	s, other := connected(t, a, b)
	mustWrite(t, s, "x")
	mustRead(t, other, "x")
	a.Close()
	_, err := other.Read(make([]byte, 1))
	want(t, "read when the peer's transport closed", err, transport.ErrReset)
	_, err = s.Read(make([]byte, 1))
	want(t, "read when the own transport closed", err, net.ErrClosed)
	want(t, "read when the own transport closed", err, transport.ErrClosed)
	if errors.Is(err, io.EOF) {
		t.Error("a cut stream looks complete")
	}
}

func TestStreamNames(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	s, other := connected(t, a, b)
	if s.Peer().ID != b.id || s.Peer().Label != "bob" || other.Peer().ID != a.id {
		t.Errorf("peers are %v and %v", s.Peer(), other.Peer())
	}
	for _, tt := range []struct {
		got  net.Addr
		want transport.Contact
	}{
		{s.LocalAddr(), a.Local()},
		{s.RemoteAddr(), b.Local()},
		{other.LocalAddr(), b.Local()},
		{other.RemoteAddr(), a.Local()},
	} {
		if tt.got != transport.Addr(tt.want) {
			t.Errorf("address is %v, want %v", tt.got, tt.want)
		}
	}
}
