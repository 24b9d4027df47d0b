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
// nobody is left.
func (s *state) hire(f *fetch, target int, now time.Time) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.links) >= target {
		return nil
	}
	c := s.pool.next(now)
	if c == nil {
		return nil
	}
	c.busy = true
	l := newLink(f, c)
	s.links = append(s.links, l)
	return l
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
	if errors.Is(err, errIdle) {
		return
	}
	s.last = err
	l.from.banned = l.from.banned || lied
	l.from.fail(now)
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
	return len(s.pool.order) > 0, s.pool.allBanned()
}

// enough says that as many seeders as wanted are asked, or will be right now.
func (s *state) enough(target int, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.links) >= target || s.pool.next(now) != nil
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

// progress is the number of links and when a group last arrived.
func (s *state) progress() (links int, moved time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.links), s.moved
}

func (s *state) nextRetry() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pool.nextRetry()
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
	s.plan.release(unit, &l.line)
	if _, any := s.missing(unit); !any {
		s.plan.finish(unit)
	}
}
