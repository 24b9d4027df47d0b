package swarm

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

const (
	// maxSeeders is how many seeders of a BLOB are remembered. A new one takes
	// the place of one that failed, or of one of a larger crowd at one address;
	// without such a one it is dropped and counted.
	maxSeeders = 256
	// maxLiars is how many seeders of a BLOB are remembered as liars.
	maxLiars = 1024
)

// pool is the seeders known of one BLOB, in an order that nobody can choose: an
// id costs nothing, so the first ids may all be one node's. It has no clock and
// no lock of its own.
type pool struct {
	self  identity.ID
	past  *past
	known map[identity.ID]*candidate
	order []*candidate
	liars recents
	// turns is when a candidate at an address was last chosen. An address that
	// is out of the pool may lose its turn.
	turns map[netip.Prefix]uint64
	turn  uint64
	// members is how many candidates there are at an address.
	members map[netip.Prefix]int
}

func newPool(self identity.ID, past *past) *pool {
	return &pool{
		self: self, past: past, known: make(map[identity.ID]*candidate),
		liars: newRecents(maxLiars), turns: make(map[netip.Prefix]uint64),
		members: make(map[netip.Prefix]int),
	}
}

// add takes in what a search found. A newer address replaces the older one.
func (p *pool) add(found []Seeder) (added, dropped int) {
	for _, i := range rand.Perm(len(found)) {
		s := found[i]
		if s.Node == p.self || p.liars.has(s.Node) {
			continue
		}
		if c := p.known[s.Node]; c != nil {
			p.update(c, s)
			continue
		}
		if p.insert(p.newCandidate(s)) {
			added++
		} else {
			dropped++
		}
	}
	return added, dropped
}

func (p *pool) newCandidate(s Seeder) *candidate {
	delivered, vain := p.past.standing(s.Node)
	return &candidate{Seeder: s, site: siteOf(s.Addr.Addr()), trusted: s.Known || delivered, tried: vain}
}

func (p *pool) update(c *candidate, s Seeder) {
	if s.Addr.IsValid() {
		p.count(c, -1)
		c.Addr, c.site = s.Addr, siteOf(s.Addr.Addr())
		p.count(c, 1)
	}
	c.Known, c.trusted = s.Known, c.trusted || s.Known
}

// count keeps the number of candidates at an address.
func (p *pool) count(c *candidate, by int) {
	if p.members[c.site] += by; p.members[c.site] == 0 {
		delete(p.members, c.site)
	}
}

// insert puts a candidate at a random place, false if there is none for it.
func (p *pool) insert(c *candidate) bool {
	if len(p.order) >= maxSeeders {
		worst := p.worst()
		if worst == nil || !p.displaces(c, worst) {
			return false
		}
		p.remove(worst)
	}
	p.known[c.Node] = c
	p.count(c, 1)
	p.order = slices.Insert(p.order, rand.IntN(len(p.order)+1), c)
	return true
}

// displaces says that c is worth more than worst, or as much and not of so large
// a crowd.
func (p *pool) displaces(c, worst *candidate) bool {
	if a, b := c.worth(), worst.worth(); a != b {
		return a > b
	}
	return c.worth() > 0 && p.members[worst.site] > p.members[c.site]+1
}

// worst is the candidate that may go first, nil when all are busy: of the least
// worth, one of the largest crowd at one address.
func (p *pool) worst() *candidate {
	var worst *candidate
	for _, c := range p.order {
		if !c.busy && (worst == nil || p.compareWorst(c, worst) < 0) {
			worst = c
		}
	}
	return worst
}

func (p *pool) compareWorst(a, b *candidate) int {
	return cmp.Or(cmp.Compare(a.worth(), b.worth()), cmp.Compare(p.members[b.site], p.members[a.site]),
		cmp.Compare(b.failures, a.failures))
}

func (p *pool) remove(c *candidate) {
	if p.known[c.Node] != c {
		return
	}
	delete(p.known, c.Node)
	p.count(c, -1)
	p.order = slices.DeleteFunc(p.order, func(o *candidate) bool { return o == c })
}

// ban removes one that sent a wrong byte, for good.
func (p *pool) ban(c *candidate) {
	p.remove(c)
	p.liars.add(c.Node)
	p.past.blame(c.Node)
}

// next is the one to try now, nil when there is none. Trusted ones come first,
// then those not tried yet, then those with the fewest failures; among equals
// the addresses take turns, so that many at one address count as one.
func (p *pool) next(now time.Time) *candidate {
	var best *candidate
	for _, c := range p.order {
		if c.ready(now) && (best == nil || p.compare(c, best) < 0) && p.allows(c, now) {
			best = c
		}
	}
	return best
}

func (p *pool) compare(a, b *candidate) int {
	return cmp.Or(cmp.Compare(b.worth(), a.worth()), cmp.Compare(a.failures, b.failures),
		cmp.Compare(p.turns[a.site], p.turns[b.site]))
}

func (p *pool) allows(c *candidate, now time.Time) bool {
	return c.trusted || p.past.allows(c.site, now)
}

// take chooses a candidate, unless another fetch was quicker to dial its
// address. The caller owes past.end of its site.
func (p *pool) take(c *candidate, now time.Time) bool {
	if !p.past.begin(c.site, c.trusted, now) {
		return false
	}
	if len(p.turns) > 2*maxSeeders {
		clear(p.turns)
	}
	p.turn++
	p.turns[c.site] = p.turn
	c.busy, c.tried = true, true
	return true
}

// nextFresh is next if it is better than one that has failed.
func (p *pool) nextFresh(now time.Time) *candidate {
	if c := p.next(now); c != nil && c.worth() > 0 {
		return c
	}
	return nil
}

// nextRetry is when the first of those set aside may be tried again, zero when
// there is none.
func (p *pool) nextRetry(now time.Time) time.Time {
	var first time.Time
	for _, c := range p.order {
		if !c.busy && c.retry.After(now) && (first.IsZero() || c.retry.Before(first)) {
			first = c.retry
		}
	}
	return first
}

// allBanned says that every seeder known has sent a wrong byte.
func (p *pool) allBanned() bool { return len(p.order) == 0 && p.met() }

// met says that anybody was ever known.
func (p *pool) met() bool { return len(p.order) > 0 || len(p.liars.at) > 0 }
