package simnet_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/staex-mcc/mcc/transport/simnet"
)

func TestLatencyIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, simnet.Options{Latency: 30 * time.Millisecond})
		a, b := listen(t, n, alice), listen(t, n, bob)
		start := time.Now()
		for i := range 3 {
			send(t, a, bob, "ping")
			if text, from := receive(t, b); text != "ping" || from != alice {
				t.Fatalf("got %q from %s", text, from)
			}
			if got, want := time.Since(start), time.Duration(i+1)*30*time.Millisecond; got != want {
				t.Fatalf("packet %d arrived after %v, want %v", i, got, want)
			}
		}
		send(t, a, alice, "self")
		receive(t, a)
		if got := time.Since(start); got != 90*time.Millisecond {
			t.Errorf("a host's packet to itself took %v", got-90*time.Millisecond)
		}
	})
}

func TestRealTime(t *testing.T) {
	n := network(t, simnet.Options{Latency: time.Millisecond})
	a, b := listen(t, n, alice), listen(t, n, bob)
	start := time.Now()
	send(t, a, bob, "ping")
	receive(t, b)
	if got := time.Since(start); got < time.Millisecond {
		t.Errorf("arrived after %v, before the latency", got)
	}
}

// numbers sends count numbered packets from alice to bob and returns those that
// arrive, in order.
func numbers(t testing.TB, n *simnet.Network, count int) (got []int) {
	t.Helper()
	a, b := listen(t, n, alice), listen(t, n, bob)
	defer a.Close()
	defer b.Close()
	for i := range count {
		send(t, a, bob, string(binary.BigEndian.AppendUint32(nil, uint32(i))))
	}
	b.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 4)
	for {
		if _, _, err := b.ReadFrom(buf); err != nil {
			return got
		}
		got = append(got, int(binary.BigEndian.Uint32(buf)))
	}
}

func TestShares(t *testing.T) {
	const count = 10000
	for _, tt := range []struct {
		name string
		opts simnet.Options
		got  func(simnet.Stats) uint64
		want float64
	}{
		{"loss", simnet.Options{Loss: 0.2}, func(s simnet.Stats) uint64 { return s.Lost }, 0.2},
		{"no loss", simnet.Options{}, func(s simnet.Stats) uint64 { return s.Lost }, 0},
		{"all lost", simnet.Options{Loss: 1}, func(s simnet.Stats) uint64 { return s.Lost }, 1},
		{"duplicate", simnet.Options{Duplicate: 0.1}, func(s simnet.Stats) uint64 { return s.Duplicated }, 0.1},
		{"reorder", simnet.Options{Reorder: 0.3}, func(s simnet.Stats) uint64 { return s.Reordered }, 0.3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.opts.Seed, tt.opts.QueueLen = 7, 2*count
				n := network(t, tt.opts)
				arrived := numbers(t, n, count)
				s := n.Stats()
				share := float64(tt.got(s)) / count
				if share < tt.want-0.015 || share > tt.want+0.015 {
					t.Errorf("share %.3f, want %.3f (%+v)", share, tt.want, s)
				}
				if uint64(len(arrived)) != s.Delivered || s.Delivered != s.Sent+s.Duplicated-s.Lost {
					t.Errorf("%d arrived, counted %+v", len(arrived), s)
				}
				slices.Sort(arrived)
				if unique := len(slices.Compact(arrived)); uint64(unique) != count-s.Lost {
					t.Errorf("%d different packets arrived, want %d", unique, count-s.Lost)
				}
			})
		})
	}
}

func TestJitterKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trace := simnet.NewTrace(0)
		n := network(t, simnet.Options{Latency: 10 * time.Millisecond, Jitter: 5 * time.Millisecond, Trace: trace})
		a := listen(t, n, alice)
		b := listen(t, n, bob)
		for range 500 {
			send(t, a, bob, "x")
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		var spread []time.Duration
		last := time.Time{}
		for _, p := range trace.Packets() {
			if p.Ended.Before(last) {
				t.Fatalf("packet %d overtook the one before", p.Number)
			}
			last = p.Ended
			spread = append(spread, p.Ended.Sub(p.Sent))
		}
		if low, high := slices.Min(spread), slices.Max(spread); low < 10*time.Millisecond || low > 11*time.Millisecond ||
			high > 15*time.Millisecond || high < 14*time.Millisecond {
			t.Errorf("delays from %v to %v, want 10 to 15 ms", low, high)
		}
		b.Close()
	})
}

func TestReorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, simnet.Options{Reorder: 0.1, ReorderDelay: time.Millisecond})
		got := numbers(t, n, 200)
		if len(got) != 200 || slices.IsSorted(got) {
			t.Errorf("%d packets arrived, in order: %v", len(got), slices.IsSorted(got))
		}
	})
}

// storm lets three hosts send to each other at once, starting them in the given
// order, and returns what became of every packet.
func storm(t *testing.T, seed uint64, order []netip.AddrPort) (packets []simnet.Traced) {
	synctest.Test(t, func(t *testing.T) {
		trace := simnet.NewTrace(0)
		n := network(t, simnet.Options{
			Seed: seed, Latency: 5 * time.Millisecond, Jitter: 3 * time.Millisecond,
			Loss: 0.1, Duplicate: 0.1, Reorder: 0.1, Trace: trace,
		})
		for _, addr := range order {
			s := listen(t, n, addr)
			go func() {
				for i := range 60 {
					for _, to := range []netip.AddrPort{alice, bob, carol} {
						s.WriteToUDPAddrPort([]byte(strconv.Itoa(i)), to)
					}
					time.Sleep(time.Millisecond)
				}
			}()
		}
		time.Sleep(time.Second)
		packets = trace.Packets()
	})
	return packets
}

func TestSameSeedSameFates(t *testing.T) {
	first := storm(t, 1, []netip.AddrPort{alice, bob, carol})
	if len(first) < 540 {
		t.Fatalf("only %d packets were traced", len(first))
	}
	second := storm(t, 1, []netip.AddrPort{carol, alice, bob})
	if diff := cmp.Diff(first, second, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("another order of goroutines changed the fates:\n%s", diff)
	}
	if other := storm(t, 2, []netip.AddrPort{alice, bob, carol}); cmp.Equal(first, other, cmpopts.EquateComparable(netip.AddrPort{})) {
		t.Error("another seed changed nothing")
	}
}

func TestOverflowDropsNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, simnet.Options{QueueLen: 4})
		got := numbersUnread(t, n, 10)
		if !slices.Equal(got, []int{0, 1, 2, 3}) {
			t.Errorf("kept %v, want the first four", got)
		}
		if s := n.Stats(); s.Delivered != 4 || s.Overflowed != 6 {
			t.Errorf("stats %+v", s)
		}
	})
}

// numbersUnread lets all packets arrive before the first is read.
func numbersUnread(t *testing.T, n *simnet.Network, count int) (got []int) {
	a, b := listen(t, n, alice), listen(t, n, bob)
	for i := range count {
		send(t, a, bob, strconv.Itoa(i))
	}
	synctest.Wait()
	b.SetReadDeadline(time.Now().Add(time.Second))
	for {
		buf := make([]byte, 10)
		l, _, err := b.ReadFrom(buf)
		if err != nil {
			return got
		}
		i, _ := strconv.Atoi(string(buf[:l]))
		got = append(got, i)
	}
}

func TestListenErrors(t *testing.T) {
	n := network(t, simnet.Options{})
	listen(t, n, alice)
	for addr, want := range map[string]error{
		"10.0.0.1:9376":          syscall.EADDRINUSE,
		"[::ffff:10.0.0.1]:9376": syscall.EADDRINUSE, // another spelling
		"0.0.0.0:1":              syscall.EADDRNOTAVAIL,
		"[::]:1":                 syscall.EADDRNOTAVAIL,
		"224.0.0.1:1":            syscall.EADDRNOTAVAIL,
	} {
		if _, err := n.Listen(netip.MustParseAddrPort(addr)); !errors.Is(err, want) {
			t.Errorf("listen on %s: %v, want %v", addr, err, want)
		}
	}
	if _, err := n.Listen(netip.AddrPort{}); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("listen on nothing: %v", err)
	}
	n.Close()
	if _, err := n.Listen(bob); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listen on a closed network: %v", err)
	}
}

func TestAnyPort(t *testing.T) {
	n := network(t, simnet.Options{})
	anyPort := netip.AddrPortFrom(alice.Addr(), 0)
	one, two := listen(t, n, anyPort), listen(t, n, anyPort)
	if one.AddrPort().Port() == 0 || one.AddrPort() == two.AddrPort() {
		t.Fatalf("got %s and %s", one.AddrPort(), two.AddrPort())
	}
	one.Close()
	if three := listen(t, n, anyPort); three.AddrPort() == one.AddrPort() {
		t.Errorf("%s was handed out again at once", one.AddrPort())
	}
}
