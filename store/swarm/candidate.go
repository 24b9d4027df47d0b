package swarm

import (
	"net/netip"
	"time"
)

const (
	minBackoff = 250 * time.Millisecond
	maxBackoff = 5 * time.Second
	// trustedTries is how often in a row a trusted seeder may fail before
	// strangers come first.
	trustedTries = 3
	// slowRest is how long a seeder is left alone that was slower than others.
	slowRest = 30 * time.Second
)

// candidate is a seeder and what it has been like.
type candidate struct {
	Seeder
	site     netip.Prefix // of Addr
	trusted  bool         // known to the node, or it has delivered before
	tried    bool         // dialled, by this fetch or lately by another
	busy     bool         // a link to it is up or being made
	failures int          // in a row
	retry    time.Time
}

// worth decides who gets a place: those trusted, then those not tried yet.
func (c *candidate) worth() int {
	switch {
	case c.trusted && c.failures < trustedTries:
		return 2
	case !c.tried:
		return 1
	}
	return 0
}

func (c *candidate) ready(now time.Time) bool { return !c.busy && !c.retry.After(now) }

// fail sets a seeder aside, for longer each time in a row.
func (c *candidate) fail(now time.Time) {
	c.retry = now.Add(backoff(c.failures))
	c.failures++
}

// rest sets a seeder aside that works but is slow.
func (c *candidate) rest(now time.Time) { c.retry, c.trusted = now.Add(slowRest), false }

// dialTime is how long a dial may last: of one that nobody has heard of little,
// for there may be many of them, and more each time.
func (c *candidate) dialTime() time.Duration {
	if c.trusted {
		return dialTimeout
	}
	return min(strangerTimeout<<min(c.failures, 10), dialTimeout)
}

// seeder is what to dial. An address that led nowhere may be wrong, so every
// second time it is left out and the network finds the node itself.
func (c *candidate) seeder() Seeder {
	s := c.Seeder
	if c.failures%2 == 1 {
		s.Addr = netip.AddrPort{}
	}
	return s
}

// backoff doubles from minBackoff to maxBackoff.
func backoff(failures int) time.Duration {
	return min(minBackoff<<min(failures, 10), maxBackoff)
}
