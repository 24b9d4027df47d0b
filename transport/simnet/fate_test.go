package simnet

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestSharesAreIndependent(t *testing.T) {
	for number := range uint64(5000) {
		all := Link{Loss: 0.3, Duplicate: 0.4, Reorder: 0.5, Jitter: time.Second}.draw(9, number)
		for name, same := range map[string]bool{
			"loss":        Link{Loss: 0.3}.draw(9, number).lost == all.lost,
			"duplication": Link{Duplicate: 0.4}.draw(9, number).twin == all.twin,
			"reordering":  Link{Reorder: 0.5}.draw(9, number).late == all.late,
			"jitter":      Link{Jitter: time.Second}.draw(9, number).twinLag == all.twinLag,
		} {
			if !same {
				t.Fatalf("packet %d: the other options changed its %s", number, name)
			}
		}
	}
}

func TestRoutesDifferAndRepeat(t *testing.T) {
	a, b := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.1:2")
	seen := make(map[uint64]bool)
	for _, r := range []route{{a, b}, {b, a}, {a, a}, {b, b}} {
		seen[routeSeed(1, r)] = true
		seen[routeSeed(2, r)] = true
	}
	if len(seen) != 8 {
		t.Errorf("%d different seeds of 8", len(seen))
	}
	// Fixed for ever: a seed in a bug report must mean the same later.
	if got := routeSeed(1, route{a, b}); got != 0x30197199b6a9e51f {
		t.Errorf("seed of a known route is %#x", got)
	}
	if got := newDice(1, 2).next(); got != 0x5df400e15a13d4a6 {
		t.Errorf("first roll of a known packet is %#x", got)
	}
}

func TestPacketsInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Options{Latency: time.Hour})
		defer n.Close()
		s, err := n.Listen(netip.MustParseAddrPort("10.0.0.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		for range maxInFlight + 10 {
			s.WriteToUDPAddrPort(nil, netip.MustParseAddrPort("10.0.0.2:1"))
		}
		if got := n.Stats(); got.InFlight != maxInFlight || got.Overflowed != 10 {
			t.Errorf("stats %+v", got)
		}
	})
}

func TestFlowsAreBounded(t *testing.T) {
	n := New(Options{})
	defer n.Close()
	src := netip.MustParseAddrPort("10.0.0.1:1")
	for i := range uint32(maxFlows + 10) {
		dst := netip.AddrPortFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 11<<24+i))), 1)
		n.mu.Lock()
		f := n.flow(route{src, dst})
		n.mu.Unlock()
		if shared := f == n.spill; shared != (i >= maxFlows) {
			t.Fatalf("flow %d shared: %v", i, shared)
		}
	}
	if len(n.flows) != maxFlows {
		t.Errorf("%d flows are kept", len(n.flows))
	}
}

func TestSharedFlowKeepsLatencies(t *testing.T) {
	n := New(Options{})
	defer n.Close()
	now := time.Now()
	for _, delay := range []time.Duration{time.Hour, time.Minute} {
		p := &packet{trace: untraced}
		n.mu.Lock()
		n.schedule(p, fate{delay: delay}, n.spill, now)
		n.mu.Unlock()
		if got := p.due.Sub(now); got != delay {
			t.Errorf("a packet on a link of %v takes %v", delay, got)
		}
	}
}

func TestTraceOrdersTies(t *testing.T) {
	now := time.Now()
	trace := NewTrace(0)
	for _, number := range []uint64{2, 0, 1} {
		trace.depart(route{}, number, nil, now)
	}
	for i, p := range trace.Packets() {
		if p.Number != uint64(i) {
			t.Errorf("packet %d is at place %d", p.Number, i)
		}
	}
}

func TestDeadlineIgnoresLateTimer(t *testing.T) {
	d := newDeadline()
	d.set(time.Now().Add(time.Hour))
	first := d.turn
	d.set(time.Now().Add(2 * time.Hour))
	if d.ring(first); d.over() {
		t.Error("the timer of a deadline that was moved ended the new one")
	}
	if d.ring(d.turn); !d.over() {
		t.Error("the deadline's own timer did not end it")
	}
	d.set(time.Time{})
}
