package simnet_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/transport/simnet"
)

func TestPacketConn(t *testing.T) {
	n := network(t, simnet.Options{})
	a, b := listen(t, n, alice), listen(t, n, bob)
	var pa, pb net.PacketConn = a, b

	if got, ok := pb.LocalAddr().(*net.UDPAddr); !ok || got.AddrPort() != bob {
		t.Fatalf("local address %#v", pb.LocalAddr())
	}
	out := []byte("hello")
	if l, err := pa.WriteTo(out, pb.LocalAddr()); l != 5 || err != nil {
		t.Fatalf("write: %d, %v", l, err)
	}
	copy(out, "#####") // the writer's buffer is its own again
	buf := make([]byte, 4)
	l, from, err := pb.ReadFrom(buf)
	if err != nil || string(buf[:l]) != "hell" {
		t.Fatalf("read %q, %v: want the packet cut to the buffer", buf[:l], err)
	}
	if got, ok := from.(*net.UDPAddr); !ok || got.AddrPort() != alice {
		t.Fatalf("from %#v", from)
	}
	// The rest of a cut packet is gone, and an empty packet is one.
	send(t, a, bob, "")
	if text, _ := receive(t, b); text != "" {
		t.Errorf("read %q, want an empty packet", text)
	}
	// The 16-byte spelling of an IPv4 address is the same host.
	send(t, a, netip.MustParseAddrPort("[::ffff:10.0.0.2]:9376"), "mapped")
	if text, from := receive(t, b); text != "mapped" || from != alice {
		t.Errorf("read %q from %s", text, from)
	}
}

func TestWriteErrors(t *testing.T) {
	n := network(t, simnet.Options{})
	a := listen(t, n, alice)
	six := listen(t, n, netip.MustParseAddrPort("[fd00::1]:1"))
	v6 := netip.MustParseAddrPort("[fd00::2]:1")
	for _, tt := range []struct {
		name string
		from *simnet.Socket
		to   netip.AddrPort
		size int
		want error
	}{
		{"longest", a, bob, 1472, nil},
		{"too long", a, bob, 1473, syscall.EMSGSIZE},
		{"longest v6", six, v6, 1452, nil},
		{"too long v6", six, v6, 1453, syscall.EMSGSIZE},
		{"no address", a, netip.AddrPort{}, 1, syscall.EINVAL},
		{"port 0", a, netip.AddrPortFrom(bob.Addr(), 0), 1, syscall.EINVAL},
		{"v4 to v6", a, v6, 1, syscall.EINVAL},
		{"v6 to v4", six, bob, 1, syscall.EINVAL},
	} {
		l, err := tt.from.WriteToUDPAddrPort(make([]byte, tt.size), tt.to)
		if !errors.Is(err, tt.want) || (err == nil) != (l == tt.size) {
			t.Errorf("%s: wrote %d, %v, want %v", tt.name, l, err, tt.want)
		}
		var op *net.OpError
		if err != nil && !errors.As(err, &op) {
			t.Errorf("%s: %T is no *net.OpError", tt.name, err)
		}
	}
	for _, addr := range []net.Addr{nil, (*net.UDPAddr)(nil), &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1}} {
		if _, err := a.WriteTo([]byte("x"), addr); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("write to %#v: %v", addr, err)
		}
	}
	n.Close()
	if s := n.Stats(); s.Sent != 2 || s.Unreachable+s.Dropped != 2 {
		t.Errorf("stats %+v, want the two that were not refused, unreachable", s)
	}
}

func checkTimeout(t *testing.T, err error) {
	t.Helper()
	if nerr, ok := errors.AsType[net.Error](err); !ok || !nerr.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a timeout", err)
	}
}

func TestDeadlines(t *testing.T) {
	past := time.Unix(1, 0)
	synctest.Test(t, func(t *testing.T) {
		n := network(t, simnet.Options{})
		a := listen(t, n, alice)
		buf := make([]byte, 10)
		start := time.Now()
		read := func(want time.Duration) {
			t.Helper()
			_, _, err := a.ReadFrom(buf)
			checkTimeout(t, err)
			if got := time.Since(start); got != want {
				t.Errorf("read timed out at %v, want %v", got, want)
			}
		}
		a.SetReadDeadline(past)
		send(t, a, alice, "waiting") // reading timeouts do not affect writing
		synctest.Wait()
		read(0)
		a.SetReadDeadline(time.Time{})
		if text, _ := receive(t, a); text != "waiting" {
			t.Errorf("read %q once the deadline was off", text)
		}
		a.SetReadDeadline(start.Add(time.Second))
		read(time.Second)
		read(time.Second)

		// A reader that waits already obeys a moved deadline, both ways.
		a.SetReadDeadline(start.Add(time.Hour))
		go func() {
			time.Sleep(time.Second)
			a.SetDeadline(start.Add(5 * time.Second))
		}()
		read(5 * time.Second)
		a.SetReadDeadline(start.Add(6 * time.Second))
		go func() {
			time.Sleep(500 * time.Millisecond)
			a.SetReadDeadline(start.Add(8 * time.Second))
		}()
		read(8 * time.Second)

		_, err := a.WriteToUDPAddrPort([]byte("x"), alice)
		checkTimeout(t, err)
		a.SetWriteDeadline(time.Time{})
		send(t, a, alice, "on time")
	})
}

func TestCloseSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, simnet.Options{Latency: time.Second})
		a, b := listen(t, n, alice), listen(t, n, bob)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, _, err := b.ReadFrom(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("pending read: %v", err)
				}
			})
		}
		synctest.Wait()
		send(t, b, alice, "last words")
		for range 2 {
			if err := b.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		wg.Wait()
		if _, err := b.WriteToUDPAddrPort([]byte("x"), alice); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
		if err := b.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("set deadline: %v", err)
		}
		if text, _ := receive(t, a); text != "last words" {
			t.Errorf("read %q", text)
		}
		send(t, a, bob, "nobody home")
		time.Sleep(2 * time.Second)
		if s := n.Stats(); s.Unreachable != 1 {
			t.Errorf("stats %+v", s)
		}
		listen(t, n, bob) // the address is free again
	})
}

func TestCloseNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Latency: time.Hour})
		a := listen(t, n, alice)
		send(t, a, bob, "in flight")
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, _, err := a.ReadFrom(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("pending read: %v", err)
			}
		})
		for range 3 {
			wg.Go(func() { n.Close() })
		}
		wg.Wait()
		if s := n.Stats(); s.Dropped != 1 || s.InFlight != 0 || s.Sent != 1 {
			t.Errorf("stats %+v", s)
		}
		if _, err := a.WriteToUDPAddrPort([]byte("x"), bob); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
	})
}

// TestConcurrentUse is for the race detector; the results may be anything.
func TestConcurrentUse(t *testing.T) {
	n := network(t, simnet.Options{Trace: simnet.NewTrace(50), Loss: 0.1, Duplicate: 0.1, Jitter: time.Millisecond})
	a := listen(t, n, alice)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { a.ReadFrom(make([]byte, 10)) })
		wg.Go(func() { a.WriteToUDPAddrPort([]byte("x"), alice) })
		wg.Go(func() { a.SetDeadline(time.Now().Add(5 * time.Millisecond)) })
		wg.Go(func() { a.SetReadDeadline(time.Unix(1, 0)) })
		wg.Go(func() { a.LocalAddr() })
		wg.Go(func() { n.SetLink(alice.Addr(), bob.Addr(), simnet.Link{}) })
		wg.Go(func() { n.Partition([]netip.Addr{alice.Addr()}); n.Heal() })
		wg.Go(func() { n.SetDown(bob.Addr(), true); n.Stats() })
		wg.Go(func() {
			if s, err := n.Listen(netip.AddrPortFrom(bob.Addr(), 0)); err == nil {
				s.WriteToUDPAddrPort([]byte("y"), alice)
				s.Close()
			}
		})
	}
	// Whatever deadline came last, nobody waits for ever.
	wg.Go(func() {
		for range 10 {
			a.SetDeadline(time.Now().Add(5 * time.Millisecond))
		}
	})
	wg.Wait()
}
