package simnet

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Fate is how a packet ended.
type Fate uint8

// The fates of packets. InFlight is that of one still on its way.
const (
	InFlight Fate = iota
	// Delivered: it waits for, or went to, the reader of its socket.
	Delivered
	// Lost: the dice said so.
	Lost
	// Cut: a partition or a host that is down was in the way.
	Cut
	// TooBig: it did not fit the link.
	TooBig
	// Unreachable: nobody listens at the address.
	Unreachable
	// Overflowed: the socket's queue, or the network, was full.
	Overflowed
)

var fateNames = [...]string{"in flight", "delivered", "lost", "cut", "too big", "unreachable", "overflowed"}

func (f Fate) String() string {
	if int(f) < len(fateNames) {
		return fateNames[f]
	}
	return fmt.Sprintf("fate %d", uint8(f))
}

// Stats are counts of packets since the network's start. At rest
// Sent + Duplicated equals the sum of the fates, Dropped and InFlight.
type Stats struct {
	// Sent counts the packets that hosts sent, Duplicated the copies the
	// network made of them, Reordered those it sent on a detour.
	Sent, Duplicated, Reordered uint64
	// The fates; see there.
	Delivered, Lost, Cut, TooBig, Unreachable, Overflowed uint64
	// Dropped counts the packets that were on their way at Close.
	Dropped uint64
	// InFlight is how many packets are on their way now.
	InFlight int
}

type counters struct {
	sent, duplicated, reordered, dropped atomic.Uint64
	fates                                [len(fateNames)]atomic.Uint64
}

// count ends a packet. It takes no lock, so that it fits both sides of n.mu.
func (n *Network) count(p *packet, f Fate, now time.Time) {
	n.counts.fates[f].Add(1)
	n.opts.Trace.end(p.trace, f, now)
}

// Stats returns the counts so far.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	flying := len(n.air)
	n.mu.Unlock()
	c := &n.counts
	return Stats{
		Sent:        c.sent.Load(),
		Duplicated:  c.duplicated.Load(),
		Reordered:   c.reordered.Load(),
		Delivered:   c.fates[Delivered].Load(),
		Lost:        c.fates[Lost].Load(),
		Cut:         c.fates[Cut].Load(),
		TooBig:      c.fates[TooBig].Load(),
		Unreachable: c.fates[Unreachable].Load(),
		Overflowed:  c.fates[Overflowed].Load(),
		Dropped:     c.dropped.Load(),
		InFlight:    flying,
	}
}
