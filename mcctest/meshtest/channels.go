package meshtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/staex-mcc/mcc"
)

func listen(t *testing.T, m Member, protocol string) net.Listener {
	t.Helper()
	ln := must[net.Listener](t, "listen")(m.Mesh.Listen(t.Context(), protocol))
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// join opens a channel and returns both ends.
func join(t *testing.T, m Member, node string, ln net.Listener, protocol string) (dialed, accepted net.Conn) {
	t.Helper()
	type end struct {
		conn net.Conn
		err  error
	}
	arrived := make(chan end, 1)
	go func() {
		conn, err := ln.Accept()
		arrived <- end{conn, err}
	}()
	dialed = must[net.Conn](t, "dial")(m.Mesh.DialNode(t.Context(), node, protocol))
	t.Cleanup(func() { _ = dialed.Close() })
	other := <-arrived
	if other.err != nil {
		t.Fatal(other.err)
	}
	t.Cleanup(func() { _ = other.conn.Close() })
	return dialed, other.conn
}

func testChannels(t *testing.T, a, b Member) {
	protocol := "test/ä b?" + unique("#")
	ln := listen(t, a, protocol)
	go serveEcho(ln)
	for what, node := range map[string]string{"id": a.ID.String(), "DID": a.ID.DID(), "label": a.Label} {
		conn := must[net.Conn](t, "dial by "+what)(b.Mesh.DialNode(t.Context(), node, protocol))
		if err := echoes(conn, 300_000); err != nil {
			t.Errorf("by %s: %v", what, err)
		}
		_ = conn.Close()
	}
	conn := must[net.Conn](t, "dial oneself")(a.Mesh.DialNode(t.Context(), a.Label, protocol))
	if err := echoes(conn, 1000); err != nil {
		t.Errorf("oneself: %v", err)
	}
	_ = conn.Close()
}

// testChannelEnds: a half-close, an end and a reset arrive as what they are.
func testChannelEnds(t *testing.T, a, b Member) {
	protocol := unique("ch")
	ln := listen(t, a, protocol)
	dialed, accepted := join(t, b, a.ID.String(), ln, protocol)
	if _, err := io.WriteString(dialed, "question"); err != nil {
		t.Fatal(err)
	}
	if err := closeWrite(dialed); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(accepted); string(got) != "question" || err != nil {
		t.Errorf("up to the half-close: %q, %v", got, err)
	}
	_, err := io.WriteString(accepted, "answer")
	if err := errors.Join(err, accepted.Close()); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(dialed); string(got) != "answer" || err != nil {
		t.Errorf("up to the end: %q, %v", got, err)
	}
	for range 2 {
		one, other := join(t, b, a.ID.String(), ln, protocol)
		r, ok := one.(interface{ Reset() })
		if !ok {
			t.Fatalf("%T has no Reset", one)
		}
		r.Reset()
		if n, err := other.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("a reset reads as %d bytes and %v", n, err)
		}
	}
}

func testListeners(t *testing.T, a, b Member) {
	ctx, protocol := t.Context(), unique("ch")
	for what, bad := range map[string]string{"empty": "", "long": strings.Repeat("x", 201)} {
		wantError(t, "listen on "+what, closed(a.Mesh.Listen(ctx, bad)), mcc.ErrInvalid)
		wantError(t, "dial "+what, closed(b.Mesh.DialNode(ctx, a.ID.String(), bad)), mcc.ErrInvalid)
	}
	wantError(t, "nobody listens", closed(b.Mesh.DialNode(ctx, a.ID.String(), protocol)), mcc.ErrNotFound)
	wantError(t, "nobody's label", closed(b.Mesh.DialNode(ctx, "nobodyatall", protocol)), mcc.ErrNotFound)
	ln := listen(t, a, protocol)
	wantError(t, "listen twice", closed(a.Mesh.Listen(ctx, protocol)), mcc.ErrExists)
	dialed, accepted := join(t, b, a.ID.String(), ln, protocol)
	if err := errors.Join(ln.Close(), ln.Close()); err != nil {
		t.Error(err)
	}
	_, err := ln.Accept()
	wantError(t, "Accept after Close", err, net.ErrClosed)
	if _, err := io.WriteString(dialed, "x"); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(accepted, make([]byte, 1)); err != nil {
		t.Errorf("a channel after its listener: %v", err)
	}
	eventually(t, "the end of listening", func() error {
		if err := closed(b.Mesh.DialNode(ctx, a.ID.String(), protocol)); !errors.Is(err, mcc.ErrNotFound) {
			return fmt.Errorf("dial: %w", orSuccess(err))
		}
		return nil
	})
	eventually(t, "listen again", func() error { return closed(a.Mesh.Listen(ctx, protocol)) })
}

var errSuccess = errors.New("success")

func orSuccess(err error) error {
	if err == nil {
		return errSuccess
	}
	return err
}

// testNetConn: channels are net.Conns in every respect.
func testNetConn(t *testing.T, a, b Member) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	protocol := unique("ch")
	ln := listen(t, a, protocol)
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		if c1, err = b.Mesh.DialNode(t.Context(), a.ID.String(), protocol); err != nil {
			return nil, nil, nil, err
		}
		if c2, err = ln.Accept(); err != nil {
			return nil, nil, nil, err
		}
		return c1, c2, func() { go c1.Close(); _ = c2.Close() }, nil
	})
}

// testServiceNetConn: so are connections to services, with a program on TCP at
// the other end.
func testServiceNetConn(t *testing.T, a, b Member) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	ln := must[net.Listener](t, "listen")(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { _ = ln.Close() })
	name := unique("svc")
	if err := a.Mesh.Register(t.Context(), mcc.Service{Name: name, Address: "tcp://" + ln.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Mesh.Unregister(context.Background(), name) })
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		if c1, err = b.Mesh.DialContext(t.Context(), "tcp", name); err != nil {
			return nil, nil, nil, err
		}
		if c2, err = ln.Accept(); err != nil {
			return nil, nil, nil, err
		}
		return c1, c2, func() { go c1.Close(); _ = c2.Close() }, nil
	})
}
