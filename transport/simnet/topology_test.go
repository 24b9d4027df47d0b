package simnet_test

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/transport/simnet"
)

// reaches reports whether a packet between two sockets arrives within a second.
func reaches(t *testing.T, from, to *simnet.Socket) bool {
	t.Helper()
	send(t, from, to.AddrPort(), "probe")
	to.SetReadDeadline(time.Now().Add(time.Second))
	defer to.SetReadDeadline(time.Time{})
	_, _, err := to.ReadFromUDPAddrPort(make([]byte, 10))
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return err == nil
}

func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, simnet.Options{Latency: time.Millisecond})
		a, b, c := listen(t, n, alice), listen(t, n, bob), listen(t, n, carol)
		check := func(when string, ab, bc bool) {
			t.Helper()
			if got := reaches(t, a, b); got != ab {
				t.Errorf("%s: alice reaches bob: %v", when, got)
			}
			if got := reaches(t, b, a); got != ab {
				t.Errorf("%s: bob reaches alice: %v", when, got)
			}
			if got := reaches(t, b, c); got != bc {
				t.Errorf("%s: bob reaches carol: %v", when, got)
			}
			if !reaches(t, a, a) {
				t.Errorf("%s: alice does not reach herself", when)
			}
		}
		check("whole", true, true)
		n.Partition([]netip.Addr{alice.Addr()})
		check("alice alone", false, true)
		n.Partition([]netip.Addr{alice.Addr(), bob.Addr()}, []netip.Addr{carol.Addr()})
		check("carol alone", true, false)
		n.Heal()
		check("healed", true, true)
		if s := n.Stats(); s.Cut != 3 {
			t.Errorf("%d packets were cut, want 3", s.Cut)
		}
	})
}

func TestDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, simnet.Options{Latency: 10 * time.Millisecond})
		a, b := listen(t, n, alice), listen(t, n, bob)
		send(t, a, bob, "in flight")
		time.Sleep(5 * time.Millisecond)
		n.SetDown(bob.Addr(), true)
		if reaches(t, a, b) || reaches(t, b, a) {
			t.Error("a host that is down was reached")
		}
		if !reaches(t, b, b) {
			t.Error("a host that is down does not reach itself")
		}
		send(t, a, bob, "gone before it is up again")
		send(t, b, alice, "too")
		n.SetDown(bob.Addr(), false)
		time.Sleep(time.Second)
		if s := n.Stats(); s.Cut != 5 {
			t.Errorf("%d packets were cut, want the one in flight and four more", s.Cut)
		}
		if !reaches(t, a, b) || !reaches(t, b, a) {
			t.Error("the host is up again and not reached")
		}
	})
}

func TestSetLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, simnet.Options{Latency: time.Millisecond})
		a, b, c := listen(t, n, alice), listen(t, n, bob), listen(t, n, carol)
		took := func(from, to *simnet.Socket) time.Duration {
			t.Helper()
			start := time.Now()
			if !reaches(t, from, to) {
				t.Fatalf("%s does not reach %s", from.AddrPort(), to.AddrPort())
			}
			return time.Since(start)
		}
		n.SetLink(alice.Addr(), bob.Addr(), simnet.Link{Latency: 50 * time.Millisecond})
		if ab, ba, ac := took(a, b), took(b, a), took(a, c); ab != 50*time.Millisecond || ba != ab || ac != time.Millisecond {
			t.Errorf("alice-bob %v, bob-alice %v, alice-carol %v", ab, ba, ac)
		}
		n.SetOneWay(bob.Addr(), alice.Addr(), simnet.Link{Loss: 1})
		if !reaches(t, a, b) || reaches(t, b, a) {
			t.Error("loss one way was not one way")
		}
	})
}

func TestLinkMTUSwallows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, simnet.Options{})
		n.SetLink(alice.Addr(), bob.Addr(), simnet.Link{MTU: 1280})
		a, b := listen(t, n, alice), listen(t, n, bob)
		send(t, a, bob, string(make([]byte, 1253)))
		send(t, a, bob, string(make([]byte, 1252)))
		if text, _ := receive(t, b); len(text) != 1252 {
			t.Errorf("%d bytes arrived, want 1252", len(text))
		}
		if s := n.Stats(); s.TooBig != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}
