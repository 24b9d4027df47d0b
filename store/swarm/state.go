package swarm

import (
	"slices"
	"sync"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// maxMends is how often groups may turn out to be damaged on the disk before the
// fetch fails.
const maxMends = 16

// state is what the goroutines of a fetch share. Its lock is held for a few
// lines at a time, never over a read, a write or a wait.
type state struct {
	mu sync.Mutex

	size  int64 // -1 until a seeder has proven it
	from  source
	plan  *plan
	mends int
	err   error // why the fetch is over
	last  error // what a seeder failed with last

	pool  *pool
	links []*link

	cursors []*want // where readers are
	waits   []*wait // and what they stand still for

	moved       time.Time // when a group last arrived
	landedBytes int64
	waiting     time.Time // since when somebody has waited, zero when nobody does
}

// wait is a reader that cannot go on without a group.
type wait struct {
	want
	group uint64
	ready chan struct{} // closed when it is here
}

func (s *state) init(self identity.ID, past *past, now time.Time) {
	s.size, s.pool = -1, newPool(self, past)
	s.moved, s.waiting = now, now // who opened it waits for the size
}

// prove sets the size, the files, and what is missing in them.
func (s *state) prove(size int64, from source, p *plan, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size, s.from, s.plan = size, from, p
	s.moved, s.waiting = now, time.Time{}
	s.kickAll()
}

// provenSize is -1 until it is known.
func (s *state) provenSize() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

func (s *state) proven() bool { return s.provenSize() >= 0 }

// complete says that every group is here.
func (s *state) complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plan != nil && s.plan.left == 0
}

// mend puts groups that went missing again back into the plan; it is false when
// there are none, or after maxMends.
func (s *state) mend() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.from.partial == nil || s.mends == maxMends {
		return false
	}
	some := false
	for first, n := range s.from.partial.Missing() {
		s.plan.reopen(first, n)
		some = true
	}
	if some {
		s.mends++
		s.kickAll()
	}
	return some
}

// setFailure keeps the first error.
func (s *state) setFailure(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

func (s *state) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// blame notes what went wrong last.
func (s *state) blame(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = err
}

func (s *state) lastError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// busy says that something is to be asked for.
func (s *state) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isBusy()
}

func (s *state) isBusy() bool {
	if s.plan == nil {
		return true
	}
	for range s.plan.wanted(s.wants()) {
		return true
	}
	return false
}

// stalled says that somebody has waited too long: longer while there are seeders
// that have not been tried.
func (s *state) stalled(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting.IsZero() {
		return false
	}
	waited, limit := min(now.Sub(s.waiting), now.Sub(s.moved)), patience
	if s.plan == nil {
		limit = openPatience
	}
	return waited >= mostPatience || waited >= limit && !s.hopeful(now)
}

// wants is what readers want, those that stand still first.
func (s *state) wants() []*want {
	all := make([]*want, 0, len(s.waits)+len(s.cursors))
	for _, w := range s.waits {
		all = append(all, &w.want)
	}
	return append(all, s.cursors...)
}

// addCursor adds a reader's position, which wants nothing yet.
func (s *state) addCursor() *want {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := new(want)
	s.cursors = append(s.cursors, w)
	return w
}

func (s *state) dropCursor(w *want) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursors = slices.DeleteFunc(s.cursors, func(o *want) bool { return o == w })
}

// move sets a reader's position and says whether the window moved with it.
func (s *state) move(w *want, unit uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.first == unit && w.end > unit {
		return false
	}
	w.first, w.end = unit, unit+window
	s.kickAll()
	return true
}

// waitFor registers a reader that stands still; nil says that the group is here.
func (s *state) waitFor(group uint64, now time.Time) *wait {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.from.has(group) {
		return nil
	}
	unit := group / unitGroups
	w := &wait{want{unit, unit + 1}, group, make(chan struct{})}
	s.waits = append(s.waits, w)
	if s.waiting.IsZero() {
		s.waiting = now
	}
	s.kickAll()
	return w
}

func (s *state) dropWait(w *wait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits = slices.DeleteFunc(s.waits, func(o *wait) bool { return o == w })
	if len(s.waits) == 0 {
		s.waiting = time.Time{}
	}
}

// landed notes a group of l's first slice and wakes who waits for it.
func (s *state) landed(l *link, group uint64, n int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.line.landed(int64(n), now)
	s.moved = now
	s.landedBytes += int64(n)
	for _, w := range s.waits {
		if w.group == group {
			w.wake()
		}
	}
}

// wake is called under the lock.
func (w *wait) wake() {
	select {
	case <-w.ready:
	default:
		close(w.ready)
	}
}

// kickAll makes idle links look for work.
func (s *state) kickAll() {
	for _, l := range s.links {
		kick(l.work)
	}
}
