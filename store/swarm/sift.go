package swarm

import (
	"cmp"
	"slices"
	"time"
)

const (
	// siftEvery is how often links are compared.
	siftEvery = 3 * time.Second
	// slowRate, in bytes a second, and slowShare of the best link's rate are what
	// a link must reach to hold its place while other seeders wait.
	slowRate  = 64 << 10
	slowShare = 8
	// rateTime is how long a seeder must have owed something to be judged.
	rateTime = 2 * time.Second
)

// meter measures a seeder's rate over the time in which it owed something, the
// last seconds more than those before.
type meter struct {
	bytes int64
	owing time.Duration
	since time.Time // when it began to owe, zero while it owes nothing
}

func (m *meter) start(now time.Time) { m.since = now }

func (m *meter) stop(now time.Time) {
	m.owing += now.Sub(m.since)
	m.since = time.Time{}
}

// rate is in bytes a second, false when it is too early to say.
func (m *meter) rate(now time.Time) (rate float64, ok bool) {
	owing := m.owing
	if !m.since.IsZero() {
		owing += now.Sub(m.since)
	}
	return float64(m.bytes) / max(owing.Seconds(), 1e-6), owing >= rateTime
}

// fade halves the weight of what has been measured.
func (m *meter) fade(now time.Time) {
	if !m.since.IsZero() {
		m.owing += now.Sub(m.since)
		m.since = now
	}
	m.owing /= 2
	m.bytes /= 2
}

// sift replaces slow seeders. One keeps its place until another one is there, so
// that those who only promise to be quicker cost nothing.
func (f *fetch) sift(now time.Time) {
	if now.Before(f.scout.nextSift) {
		return
	}
	f.scout.nextSift = now.Add(siftEvery)
	f.scout.extra = 0
	if f.state.sift(now) && f.scout.target == maxLinks {
		f.scout.extra = 1
	}
}

// sift sees which links are slow and ends those that have been replaced. It says
// whether a new seeder waits.
func (s *state) sift(now time.Time) (waits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	links, settled := s.measured(now)
	markSlow(links)
	surplus := s.census(now).up - maxLinks
	for _, m := range links[:max(0, min(surplus, len(links)))] {
		if m.link.slow || settled {
			m.link.left = true
			m.link.leave(errSlow)
		}
	}
	for _, l := range s.links {
		l.line.meter.fade(now)
	}
	c := s.pool.next(now)
	return c != nil && !c.tried
}

// measuredLink is a link and its rate in bytes a second.
type measuredLink struct {
	link *link
	rate float64
}

// measured is the links of which the rate is known, the slowest first. settled
// says that it is of all that owe something.
func (s *state) measured(now time.Time) (links []measuredLink, settled bool) {
	settled = true
	for _, l := range s.links {
		if !l.up || l.left {
			continue
		}
		if rate, ok := l.line.meter.rate(now); ok {
			links = append(links, measuredLink{l, rate})
		} else if len(l.line.queue) > 0 {
			settled = false
		}
	}
	slices.SortFunc(links, func(a, b measuredLink) int { return cmp.Compare(a.rate, b.rate) })
	return links, settled
}

func markSlow(links []measuredLink) {
	if len(links) == 0 {
		return
	}
	least := max(slowRate, links[len(links)-1].rate/slowShare)
	for _, m := range links {
		m.link.slow = m.rate < least
	}
}
