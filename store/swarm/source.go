package swarm

import (
	"errors"

	"github.com/staex-mcc/mcc/store/blob"
)

// source is where the readers of a fetch find what is here. One of the two is
// set, none before the size is proven and after the fetch has ended.
type source struct {
	partial *blob.Partial // goes on reading after it has become whole
	whole   *blob.Blob    // somebody put the BLOB while it was looked for
}

func (s *state) source() source {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.from
}

// takeFiles hands over what is to be closed.
func (s *state) takeFiles() source {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.from
	s.from = source{}
	return from
}

// readAt reads what is here: blob.ErrMissing comes at the first group that is
// not.
func (f *fetch) readAt(b []byte, off int64) (int, error) {
	n, err := f.state.source().readAt(b, off)
	switch {
	case n > 0 || err == nil:
		return n, nil
	case errors.Is(err, blob.ErrDamaged) && f.mend():
		return 0, blob.ErrMissing
	}
	select {
	case <-f.over: // which comes before the files are closed
		return 0, f.state.failure()
	default:
		return 0, err
	}
}

func (s source) readAt(b []byte, off int64) (int, error) {
	switch {
	case s.whole != nil:
		return s.whole.ReadAt(b, off)
	case s.partial != nil:
		return s.partial.ReadAt(b, off)
	}
	return 0, blob.ErrClosed
}

// has says whether a group need not be kept.
func (s source) has(group uint64) bool { return s.partial == nil || s.partial.Has(group, 1) }
