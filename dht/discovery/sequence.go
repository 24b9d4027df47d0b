package discovery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/staex-mcc/mcc/store"
)

// Keys of the store under which a Registry and Seeds keep the bound of the
// sequence numbers they ever used, 8 bytes big-endian.
const (
	sequenceKey      = "discovery/sequence"
	seedsSequenceKey = "discovery/seeds sequence"
)

// Sequence numbers are reserved in the store for some time ahead, so that it is
// written now and then instead of with every lease.
const (
	reserveAhead = uint64(time.Hour)
	// reserveSlack is how much of a reservation must be left to go on with it:
	// more than the leases that a node places side by side.
	reserveSlack = uint64(time.Minute)
)

// sequence hands out growing numbers: the clock in nanoseconds, or one more than
// the last where the clock has not moved on. With a store they grow over
// restarts even if the clock was set back meanwhile.
type sequence struct {
	store store.Store // nil keeps nothing
	key   []byte
	// turn holds a token while somebody writes to the store, so that a lower
	// bound never overwrites a higher one.
	turn chan struct{}

	mu          sync.Mutex
	last, bound uint64
}

// newSequence goes on where the store says under key that an earlier one
// stopped. With an error it is usable, and relies on the clock.
func newSequence(s store.Store, key string) (*sequence, error) {
	q := &sequence{store: s, key: []byte(key), turn: make(chan struct{}, 1)}
	if s == nil {
		return q, nil
	}
	kept, err := s.Get(q.key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return q, nil
	case err != nil:
		return q, fmt.Errorf("read sequence: %w", err)
	case len(kept) != 8:
		return q, fmt.Errorf("read sequence: %d bytes instead of 8", len(kept))
	}
	q.last = binary.BigEndian.Uint64(kept)
	q.bound = q.last
	return q, nil
}

// reserve makes sure that the next numbers are below what the store knows. It
// may wait for the disk. An error costs the guarantee, not the numbers.
func (q *sequence) reserve(now time.Time) error {
	if q.store == nil || q.wanted(now) == 0 {
		return nil
	}
	q.turn <- struct{}{}
	defer func() { <-q.turn }()
	bound := q.wanted(now) // somebody else may have been faster
	if bound == 0 {
		return nil
	}
	if err := q.store.Put(q.key, binary.BigEndian.AppendUint64(nil, bound)); err != nil {
		return fmt.Errorf("keep sequence: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bound = bound
	return nil
}

// wanted returns the bound to reserve, or 0 if enough is left.
func (q *sequence) wanted(now time.Time) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	next := q.after(now)
	if next+reserveSlack <= q.bound {
		return 0
	}
	return next + reserveAhead
}

// next returns a number greater than all before.
func (q *sequence) next(now time.Time) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last = q.after(now)
	return q.last
}

// after is the number that follows, with mu held.
func (q *sequence) after(now time.Time) uint64 {
	return max(uint64(max(now.UnixNano(), 0)), q.last+1)
}

// skip makes the following numbers greater than seen, which this node used in
// another life, and reports whether they would not have been anyway.
func (q *sequence) skip(seen uint64, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	// Far ahead of any clock is not ours to follow: the numbers would run out.
	if seen < q.after(now) || seen > uint64(now.Add(maxAhead).UnixNano()) {
		return false
	}
	q.last = seen
	return true
}

// maxAhead is how far a number met in the network may be ahead of the clock.
const maxAhead = 100 * 365 * 24 * time.Hour
