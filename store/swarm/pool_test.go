package swarm

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// strangers are n seeders from number on, each seen at an address of its own.
func strangers(from, n int) []Seeder {
	all := make([]Seeder, n)
	for i := range all {
		number := from + i
		all[i] = Seeder{
			Node: identity.ID{byte(number), byte(number >> 8)},
			Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(number >> 8), byte(number)}), 9),
		}
	}
	return all
}

func testPool(t *testing.T, found ...Seeder) *pool {
	t.Helper()
	p := newPool(identity.ID{255, 255}, newPast())
	if added, dropped := p.add(found); added != len(found) || dropped != 0 {
		t.Fatalf("added %d and dropped %d of %d", added, dropped, len(found))
	}
	return p
}

func TestPoolBackoff(t *testing.T) {
	now := time.Unix(1000, 0)
	p := testPool(t, strangers(1, 1)...)
	if added, dropped := p.add([]Seeder{{Node: p.self}}); added != 0 || dropped != 0 || len(p.order) != 1 {
		t.Error("this node is in its own pool")
	}
	c := p.next(now)
	p.take(c, now)
	if got := p.next(now); got != nil {
		t.Errorf("next is %v, which is busy", got.Node)
	}
	c.busy = false
	c.fail(now)
	if got := p.next(now); got != nil {
		t.Errorf("next is %v, want none before the retry", got.Node)
	}
	if got := p.nextRetry(now); got != now.Add(minBackoff) || p.next(got) != c {
		t.Errorf("retry at %v", got)
	}
	if got := p.nextRetry(now.Add(time.Minute)); !got.IsZero() {
		t.Errorf("a retry at %v, which has passed", got)
	}
	for range 20 {
		c.fail(now)
	}
	if got := c.retry.Sub(now); got != maxBackoff {
		t.Errorf("backoff %v, want %v", got, maxBackoff)
	}
	p.add(strangers(2, 1))
	if got := p.next(now.Add(time.Hour)); got == c {
		t.Error("one that has failed comes before one that has not")
	}
	for _, c := range slices.Clone(p.order) {
		if p.allBanned() {
			t.Error("all banned too early")
		}
		p.ban(c)
		p.add([]Seeder{c.Seeder})
	}
	if !p.allBanned() || !p.met() {
		t.Error("banned seeders are back or forgotten")
	}
}

// TestPoolOrder: the order is nobody's to choose, but for those who are trusted.
func TestPoolOrder(t *testing.T) {
	now, firsts := time.Unix(1000, 0), map[identity.ID]int{}
	for range 200 {
		firsts[testPool(t, strangers(1, 8)...).next(now).Node]++
	}
	if len(firsts) != 8 {
		t.Errorf("%d of 8 were ever the first in 200 pools", len(firsts))
	}
	known, served, vain := strangers(100, 1)[0], strangers(101, 1)[0], strangers(102, 1)[0]
	known.Known = true
	past := newPast()
	past.praise(served.Node, siteOf(served.Addr.Addr()), now)
	past.miss(vain.Node)
	for range 20 {
		p := newPool(identity.ID{}, past)
		p.add(append(strangers(1, 8), known, served, vain))
		var order []identity.ID
		for c := p.next(now); c != nil; c = p.next(now) {
			p.take(c, now)
			order = append(order, c.Node)
		}
		if len(order) != 11 || order[10] != vain.Node || order[0] != known.Node && order[0] != served.Node ||
			order[1] != known.Node && order[1] != served.Node {
			t.Fatalf("order %v, want %v and %v first, %v last", order, known.Node, served.Node, vain.Node)
		}
		for _, id := range order {
			past.end(p.known[id].site)
		}
		now = now.Add(2 * siteWindow)
	}
}

// TestPoolTurns: a hundred at one address are one among five, and get two dials
// at a time.
func TestPoolTurns(t *testing.T) {
	now, crowd := time.Unix(1000, 0), strangers(1, 100)
	for i := range crowd {
		crowd[i].Addr = netip.MustParseAddrPort("192.0.2.7:53")
	}
	p := testPool(t, append(crowd, strangers(200, 4)...)...)
	crowded := 0
	for range 6 {
		c := p.next(now)
		p.take(c, now)
		if c.Addr == crowd[0].Addr {
			crowded++
		}
	}
	if c := p.next(now); crowded != maxSiteDials || c != nil {
		t.Errorf("of 6 dials %d went to the crowd, want %d; then %v, want none", crowded, maxSiteDials, c)
	}
	p.add(strangers(300, 1))
	more := strangers(400, 4000)
	for i := range more {
		more[i].Addr = crowd[0].Addr
	}
	p.add(more)
	p.add(strangers(5000, 100))
	away, seen := 0, map[netip.Prefix]int{}
	for _, c := range p.order {
		seen[c.site]++
		if c.Addr != crowd[0].Addr {
			away++
		}
	}
	if away != 105 || len(p.order) != maxSeeders || len(p.known) != maxSeeders || !maps.Equal(seen, p.members) {
		t.Errorf("%d of 105 that are not of the crowd are left among %d", away, len(p.order))
	}
}

// TestPoolRoom: new seeders take the places of those that failed, not of those
// that nobody has tried; who is trusted always gets one.
func TestPoolRoom(t *testing.T) {
	now := time.Unix(1000, 0)
	p := newPool(identity.ID{}, newPast())
	if added, dropped := p.add(strangers(1, 300)); added != maxSeeders || dropped != 300-maxSeeders {
		t.Errorf("added %d, dropped %d", added, dropped)
	}
	if added, dropped := p.add(strangers(400, 5)); added != 0 || dropped != 5 {
		t.Errorf("in a full pool: added %d, dropped %d", added, dropped)
	}
	failed := p.next(now)
	p.take(failed, now)
	failed.fail(now)
	if added, _ := p.add(strangers(400, 1)); added != 0 {
		t.Error("a seeder that is being dialled was pushed out")
	}
	failed.busy = false
	p.past.miss(failed.Node)
	if added, dropped := p.add(strangers(400, 2)); added != 1 || dropped != 1 || p.known[failed.Node] != nil {
		t.Errorf("with one failed: added %d, dropped %d", added, dropped)
	}
	if added, _ := p.add([]Seeder{failed.Seeder}); added != 0 {
		t.Error("one that failed came back and pushed out another")
	}
	known := failed.Seeder
	known.Known = true
	if added, _ := p.add([]Seeder{known}); added != 1 || len(p.order) != maxSeeders || len(p.known) != maxSeeders {
		t.Errorf("a known seeder got no place; %d are in the pool", len(p.order))
	}
}

func TestCandidateDial(t *testing.T) {
	p := testPool(t, strangers(1, 1)...)
	c := p.order[0]
	for i, want := range []time.Duration{2, 4, 8, 10, 10} {
		if got := c.dialTime(); got != want*time.Second {
			t.Errorf("dial %d of a stranger may take %v, want %d s", i, got, want)
		}
		if hint := c.seeder().Addr.IsValid(); hint != (i%2 == 0) {
			t.Errorf("dial %d: with address %v, want every second time", i, hint)
		}
		c.failures++
	}
	c.failures, c.trusted = 0, true
	if got := c.dialTime(); got != dialTimeout {
		t.Errorf("dial of a trusted seeder may take %v, want %v", got, dialTimeout)
	}
}

func TestPastSites(t *testing.T) {
	p, now := newPast(), time.Unix(1000, 0)
	at, same := siteOf(netip.MustParseAddr("2001:db8::1")), siteOf(netip.MustParseAddr("2001:db8::2:3"))
	if at != same || at == siteOf(netip.MustParseAddr("2001:db8:0:1::1")) {
		t.Error("a network of 64 bits is not one address")
	}
	if siteOf(netip.MustParseAddr("::ffff:192.0.2.1")) != siteOf(netip.MustParseAddr("192.0.2.1")) ||
		siteOf(netip.MustParseAddr("192.0.2.1")) == siteOf(netip.MustParseAddr("192.0.2.2")) {
		t.Error("addresses of IPv4 are not kept apart")
	}
	tries := 0
	for ; p.allows(at, now); tries++ {
		p.begin(at, false, now)
		p.end(at)
	}
	if tries != maxSiteTries {
		t.Errorf("%d dials in a minute, want %d", tries, maxSiteTries)
	}
	if now = now.Add(siteWindow); !p.allows(at, now) {
		t.Error("no dial a minute later")
	}
	p.begin(at, false, now)
	p.begin(at, false, now)
	if p.allows(at, now) || p.begin(at, false, now) {
		t.Error("a third dial at the same time")
	}
	if !p.begin(at, true, now) {
		t.Error("no dial to a trusted seeder")
	}
	p.end(at)
	p.praise(identity.ID{1}, at, now)
	if !p.allows(at, now) || p.allows(at, now.Add(siteTrust)) {
		t.Error("an address that delivered is not trusted for ten minutes")
	}
	if none := siteOf(netip.Addr{}); none.IsValid() || !p.allows(none, now) {
		t.Error("a seeder without an address is bounded")
	}
	for i := range 3 * maxSites {
		p.begin(siteOf(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})), false, now)
		p.end(siteOf(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})))
	}
	if n := len(p.sites); n > maxSites || p.sites[at] == nil {
		t.Errorf("%d addresses are remembered, one that is being dialled: %v", n, p.sites[at] != nil)
	}
}

func TestRecents(t *testing.T) {
	r := newRecents(3)
	id := func(n int) identity.ID { return identity.ID{byte(n)} }
	for i := range 5 {
		r.add(id(i))
		r.add(id(i))
	}
	r.remove(id(3))
	r.add(id(3)) // its old place must not take it along
	r.add(id(5))
	for i, want := range []bool{false, false, false, true, true, true} {
		if got := r.has(id(i)); got != want {
			t.Errorf("has %d: %v, want %v", i, got, want)
		}
	}
	if len(r.at) > 3 || len(r.ring) != 3 {
		t.Errorf("%d in %d places, want 3", len(r.at), len(r.ring))
	}
}
