package swarm

import (
	"time"

	"github.com/staex-mcc/mcc/identity"
)

const (
	// maxSeeders is how many seeders of a BLOB are remembered; further ones are
	// dropped and counted.
	maxSeeders = 256
	minBackoff = 250 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// candidate is a seeder and what it has been like.
type candidate struct {
	Seeder
	busy     bool // a link to it is up or being made
	banned   bool // it sent a wrong byte
	failures int  // in a row
	retry    time.Time
}

// pool is the seeders known of one BLOB, in the order in which they were found.
// It has no clock and no lock of its own.
type pool struct {
	self  identity.ID
	known map[identity.ID]*candidate
	order []*candidate
}

func newPool(self identity.ID) *pool {
	return &pool{self: self, known: make(map[identity.ID]*candidate)}
}

// add takes in what a search found. A newer address replaces the older one.
func (p *pool) add(found []Seeder) (added, dropped int) {
	for _, s := range found {
		switch c := p.known[s.Node]; {
		case s.Node == p.self:
		case c != nil:
			if s.Addr.IsValid() {
				c.Addr = s.Addr
			}
		case len(p.order) == maxSeeders:
			dropped++
		default:
			c = &candidate{Seeder: s}
			p.known[s.Node] = c
			p.order = append(p.order, c)
			added++
		}
	}
	return added, dropped
}

// next is the one to try now: of those that may be, the one with the fewest
// failures, the first found among equals. It is nil when there is none.
func (p *pool) next(now time.Time) *candidate {
	var best *candidate
	for _, c := range p.order {
		if c.busy || c.banned || c.retry.After(now) {
			continue
		}
		if best == nil || c.failures < best.failures {
			best = c
		}
	}
	return best
}

// nextRetry is when the first of those set aside may be tried again, zero when
// there is none.
func (p *pool) nextRetry() time.Time {
	var first time.Time
	for _, c := range p.order {
		if c.busy || c.banned {
			continue
		}
		if first.IsZero() || c.retry.Before(first) {
			first = c.retry
		}
	}
	return first
}

// allBanned says that every seeder known has sent a wrong byte.
func (p *pool) allBanned() bool {
	for _, c := range p.order {
		if !c.banned {
			return false
		}
	}
	return len(p.order) > 0
}

// fail sets a seeder aside, for longer each time in a row.
func (c *candidate) fail(now time.Time) {
	c.retry = now.Add(backoff(c.failures))
	c.failures++
}

// backoff doubles from minBackoff to maxBackoff.
func backoff(failures int) time.Duration {
	return min(minBackoff<<min(failures, 10), maxBackoff)
}
