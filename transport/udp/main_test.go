package udp

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// someone is an identity that depends on the name only.
func someone(t testing.TB, name string) *identity.Local {
	t.Helper()
	id, err := identity.FromSeed(sha256.Sum256([]byte(name)), name, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// node starts a transport on loopback that is closed with the test.
func node(t testing.TB, name string) *Transport {
	t.Helper()
	return nodeWith(t, Options{}, transport.Config{Identity: someone(t, name)})
}

func nodeWith(t testing.TB, opts Options, cfg transport.Config) *Transport {
	t.Helper()
	n, err := New(opts, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

// limit bounds a test that hangs.
func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// accepted accepts the next stream in the background.
func accepted(t testing.TB, n *Transport) <-chan transport.Stream {
	ch := make(chan transport.Stream, 1)
	go func() {
		defer close(ch)
		o, err := n.Accept(limit(t))
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		s, err := o.Accept()
		if err != nil {
			t.Errorf("accept offer: %v", err)
			return
		}
		ch <- s
	}()
	return ch
}

// connected are the two ends of a stream from a to b.
func connected(t testing.TB, a, b *Transport) (dialed, other transport.Stream) {
	t.Helper()
	ch := accepted(t, b)
	s, err := a.Dial(limit(t), b.Local(), transport.Open{Protocol: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if other = <-ch; other == nil {
		t.FailNow()
	}
	t.Cleanup(func() { s.Close(); other.Close() })
	return s, other
}

// want reports err unless it is target.
func want(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got error %v, want %v", what, err, target)
	}
}

func mustWrite(t testing.TB, w io.Writer, data string) {
	t.Helper()
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func mustRead(t testing.TB, r io.Reader, data string) {
	t.Helper()
	buf := make([]byte, len(data))
	if _, err := io.ReadFull(r, buf); err != nil || string(buf) != data {
		t.Fatalf("read %q, %v; want %q", buf, err, data)
	}
}

// counter is the value of one of n's counters.
func counter(t testing.TB, n *Transport, name string) uint64 {
	t.Helper()
	for _, c := range n.Counters() {
		if c.Name == name {
			return c.Value
		}
	}
	t.Fatalf("no counter %q", name)
	return 0
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for ctx := limit(t); !ok(); {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}

func addrOf(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// udpSocket is a plain socket of a stranger on loopback.
func udpSocket(t testing.TB) *net.UDPConn {
	t.Helper()
	s, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
