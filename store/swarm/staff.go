package swarm

import (
	"errors"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/store/blob"
)

// This file has the part of state that is about seeders: who is asked, and for
// what.

// hire makes a link to the next candidate, nil when there are enough of them or
// nobody is left. Half of the dials are kept for those not tried yet.
func (s *state) hire(f *fetch, target int, now time.Time) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.census(now)
	if have.promising >= target || have.dialling >= maxDials || len(s.links) >= mostLinks {
		return nil
	}
	c := s.pool.next(now)
	if c == nil || c.worth() == 0 && have.dialling >= maxDials/2 {
		return nil
	}
	if !s.pool.take(c, now) {
		return nil
	}
	l := newLink(f, c, now)
	s.links = append(s.links, l)
	return l
}

// census is how many links there are of a kind.
type census struct {
	up        int // past the dial
	working   int // up and not slow
	dialling  int
	promising int // working, or begun to be dialled just now
}

func (s *state) census(now time.Time) (n census) {
	for _, l := range s.links {
		switch {
		case l.left:
		case l.up && l.slow:
			n.up++
		case l.up:
			n.up++
			n.working++
		default:
			n.dialling++
			if now.Sub(l.started) < freshDial {
				n.promising++
			}
		}
	}
	n.promising += n.working
	return n
}

// hopeful says that there are seeders whose first answer is still to come.
func (s *state) hopeful(now time.Time) bool {
	first := func(l *link) bool { return !l.up && l.from.failures == 0 }
	return slices.ContainsFunc(s.links, first) || s.pool.nextFresh(now) != nil
}

// arrived notes that a seeder is there and says the right size.
func (s *state) arrived(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.up = true
	s.pool.past.end(l.site)
}

// praise notes that a seeder has delivered what nobody without the BLOB can.
func (s *state) praise(l *link, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.praiseLocked(l, now)
}

func (s *state) praiseLocked(l *link, now time.Time) {
	if l.praised {
		return
	}
	l.praised = true
	l.from.trusted = true
	s.pool.past.praise(l.from.Node, siteOfConn(l.conn), now)
}

// dismiss ends a link; what it owed is for others.
func (s *state) dismiss(l *link, err error, lied bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links = slices.DeleteFunc(s.links, func(o *link) bool { return o == l })
	for _, o := range l.line.queue {
		s.plan.release(o.unit, &l.line)
	}
	l.from.busy = false
	if !l.up {
		s.pool.past.end(l.site)
	}
	switch {
	case errors.Is(err, errIdle):
		return
	case errors.Is(err, errSlow):
		l.from.rest(now)
		s.pool.past.blame(l.from.Node)
	case lied:
		s.last = err
		s.pool.ban(l.from)
	default:
		s.last = err
		l.from.fail(now)
		if !l.up && l.ctx.Err() == nil {
			s.pool.past.miss(l.from.Node)
		}
	}
	s.kickAll()
}

// meet adds the seeders of a search.
func (s *state) meet(found []Seeder) (added, dropped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pool.add(found)
}

// acquaintances says whether any seeder is known, and whether all of them lied.
func (s *state) acquaintances() (known, liars bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pool.met(), s.pool.allBanned()
}

// enough says that as many seeders as wanted are asked, or will be right now.
// One that failed before is tried again, but others are looked for too.
func (s *state) enough(target int, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.census(now).promising >= target || s.pool.nextFresh(now) != nil
}

// gain is how many bytes have arrived since the last call, and the number of
// links.
func (s *state) gain() (bytes int64, links int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes = s.landedBytes
	s.landedBytes = 0
	return bytes, len(s.links)
}

// progress is the number of links that deliver and when a group last arrived.
func (s *state) progress(now time.Time) (links int, moved time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.census(now).working, s.moved
}

func (s *state) nextRetry(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pool.nextRetry(now)
}

// assign gives a link as much to do as fits, and returns it.
func (s *state) assign(l *link, now time.Time) []slice {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.from.partial == nil {
		return nil
	}
	if !l.line.room(now) {
		return nil
	}
	var batch []slice
	wants := s.wants()
	for l.line.room(now) {
		unit, duplicate, ok := s.plan.next(wants, &l.line, now)
		if !ok {
			break
		}
		part, any := s.missing(unit)
		if !any {
			s.plan.finish(unit)
			continue
		}
		s.plan.claim(unit, &l.line)
		l.line.push(owed{unit, part, dataOf(s.size, part), now, duplicate})
		batch = append(batch, part)
	}
	return batch
}

// missing is from the first to the last group of a unit that is not here.
func (s *state) missing(unit uint64) (slice, bool) {
	first := unit * unitGroups
	end := min(first+unitGroups, blob.Groups(s.size))
	for first < end && s.from.partial.Has(first, 1) {
		first++
	}
	for first < end && s.from.partial.Has(end-1, 1) {
		end--
	}
	return slice{first, end - first}, first < end
}

// head is the slice that the link is to receive next.
func (s *state) head(l *link) (slice, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(l.line.queue) == 0 {
		return slice{}, false
	}
	return l.line.queue[0].slice, true
}

// received notes that the first slice of a link is here whole.
func (s *state) received(l *link, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	unit := l.line.queue[0].unit
	l.line.pop(now)
	l.from.failures = 0
	if !l.slow {
		s.praiseLocked(l, now)
	}
	s.plan.release(unit, &l.line)
	if _, any := s.missing(unit); !any {
		s.plan.finish(unit)
	}
}
