package simnet

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"time"
)

// route is a direction between two sockets, open or not.
type route struct{ src, dst netip.AddrPort }

// flow is what the network remembers of a route. Network.mu guards it.
type flow struct {
	seed uint64
	sent uint64    // packets so far
	last time.Time // when the last one in order arrives
}

// flow returns the memory of r, made at its first packet. n.mu is held.
func (n *Network) flow(r route) *flow {
	f := n.flows[r]
	if f == nil && len(n.flows) >= maxFlows {
		return n.spill
	}
	if f == nil {
		f = &flow{seed: routeSeed(n.opts.Seed, r)}
		n.flows[r] = f
	}
	return f
}

// routeSeed hashes a route with FNV-1a: the same on every machine and run.
func routeSeed(seed uint64, r route) uint64 {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 44), seed)
	for _, a := range []netip.AddrPort{r.src, r.dst} {
		ip := a.Addr().As16()
		b = append(b, ip[:]...)
		b = binary.BigEndian.AppendUint16(b, a.Port())
	}
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

// dice rolls the fate of one packet: the SplitMix64 generator (Steele, Lea and
// Flood 2014), started from the flow's seed and the packet's number.
type dice uint64

const golden = 0x9e3779b97f4a7c15

func newDice(seed, number uint64) *dice {
	d := dice(seed)
	d = dice(d.next() ^ number*golden)
	return &d
}

func (d *dice) next() uint64 {
	*d += golden
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// roll is even in [0, 1).
func (d *dice) roll() float64 { return float64(d.next()>>11) / (1 << 53) }

// fate is what the network does to a packet.
type fate struct {
	lost    bool
	late    bool // leaves the order of its flow
	delay   time.Duration
	twin    bool // a second copy arrives
	twinLag time.Duration
}

// draw decides over packet number of a flow. Every roll is made, whatever the
// ones before gave, so that changing one share leaves the others' fates alone.
func (l Link) draw(seed, number uint64) fate {
	d := newDice(seed, number)
	f := fate{lost: d.roll() < l.Loss, twin: d.roll() < l.Duplicate, late: d.roll() < l.Reorder}
	f.delay = l.Latency + time.Duration(d.roll()*float64(l.Jitter))
	f.twinLag = time.Duration(d.roll() * float64(l.Jitter))
	if f.late {
		f.delay += l.detour()
	}
	return f
}

func (l Link) detour() time.Duration {
	if l.ReorderDelay == 0 {
		return DefaultReorderDelay
	}
	return l.ReorderDelay
}
