package simnet

import (
	"bytes"
	"cmp"
	"container/heap"
	"time"
)

// packet is one copy of a datagram on its way.
type packet struct {
	route  route
	number uint64 // within its route
	copy   int    // 1 for a duplicate
	due    time.Time
	data   []byte
	trace  int // its line in the trace, or untraced
}

// airborne is a heap of packets by arrival. Ties are broken by what does not
// depend on goroutine order.
type airborne []*packet

func (a airborne) Len() int      { return len(a) }
func (a airborne) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a airborne) Less(i, j int) bool {
	p, q := a[i], a[j]
	return cmp.Or(
		p.due.Compare(q.due),
		p.route.src.Compare(q.route.src),
		p.route.dst.Compare(q.route.dst),
		cmp.Compare(p.number, q.number),
		cmp.Compare(p.copy, q.copy),
	) < 0
}
func (a *airborne) Push(p any) { *a = append(*a, p.(*packet)) }
func (a *airborne) Pop() any {
	last := len(*a) - 1
	p := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return p
}

// depart takes a datagram from its host: it is numbered, its fate is drawn and
// what is left of it takes off.
func (n *Network) depart(r route, data []byte) {
	if n.launch(r, bytes.Clone(data), time.Now()) {
		select {
		case n.wake <- struct{}{}:
		default:
		}
	}
}

// launch reports whether the earliest arrival changed.
func (n *Network) launch(r route, data []byte, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.counts.sent.Add(1)
	fl := n.flow(r)
	number := fl.sent
	fl.sent++

	p := &packet{route: r, number: number, data: data, trace: n.opts.Trace.depart(r, number, data, now)}
	link, passes := n.link(pair{r.src.Addr(), r.dst.Addr()})
	if !passes {
		n.count(p, Cut, now)
		return false
	}
	if link.MTU != 0 && len(data) > payloadLimit(link.MTU, r.dst.Addr()) {
		n.count(p, TooBig, now)
		return false
	}
	f := link.draw(fl.seed, number)
	if f.lost {
		n.count(p, Lost, now)
		return false
	}
	return n.schedule(p, f, fl, now)
}

// schedule puts a packet, and its twin, into the air. n.mu is held.
func (n *Network) schedule(p *packet, f fate, fl *flow, now time.Time) bool {
	p.due = now.Add(f.delay)
	switch {
	case f.late:
		n.counts.reordered.Add(1)
	case fl != n.spill:
		if p.due.Before(fl.last) {
			p.due = fl.last // jitter does not overtake
		}
		fl.last = p.due
	}
	earliest := n.takeOff(p, now)
	if f.twin {
		n.counts.duplicated.Add(1)
		twin := *p
		twin.copy, twin.due = 1, p.due.Add(f.twinLag)
		twin.trace = n.opts.Trace.depart(p.route, p.number, p.data, now)
		earliest = n.takeOff(&twin, now) || earliest
	}
	return earliest
}

func (n *Network) takeOff(p *packet, now time.Time) bool {
	if len(n.air) >= maxInFlight {
		n.count(p, Overflowed, now)
		return false
	}
	heap.Push(&n.air, p)
	return n.air[0] == p
}

// run is the network's one goroutine: it delivers packets when they are due.
func (n *Network) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		landed, next := n.land(time.Now())
		for _, p := range landed {
			n.arrive(p)
		}
		// An idle network has no timer at all: one in the far future would let
		// the clock of a bubble run away where a deadlock should be reported.
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-timer.C:
		case <-n.wake:
		case <-n.closing:
			return
		}
	}
}

// land removes the packets that are due and says when the next one will be; the
// zero time if there is none.
func (n *Network) land(now time.Time) (due []*packet, next time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.air) > 0 {
		if n.air[0].due.After(now) {
			return due, n.air[0].due
		}
		due = append(due, heap.Pop(&n.air).(*packet))
	}
	return due, time.Time{}
}

// arrive hands a packet to the socket it is for.
func (n *Network) arrive(p *packet) {
	n.mu.Lock()
	s := n.sockets[p.route.dst]
	off := p.route.src.Addr() != p.route.dst.Addr() && (n.down[p.route.src.Addr()] || n.down[p.route.dst.Addr()])
	n.mu.Unlock()
	fate := Unreachable
	switch {
	case off:
		fate = Cut
	case s != nil:
		fate = s.push(p)
	}
	n.count(p, fate, time.Now())
}
