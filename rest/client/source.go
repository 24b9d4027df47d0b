package client

import (
	"context"
	"errors"
	"io"
	"sync"

	"lukechampine.com/blake3"

	mcc "github.com/staex-mcc/mcc"
)

// source is a body that keeps its error, knows what was read of it and is not
// read after its end.
type source struct {
	mu     sync.Mutex // held while r is read
	r      io.Reader
	hash   *blake3.Hasher
	size   int64
	whole  bool // r has been read to its end
	over   bool
	failed error
}

func newSource(r io.Reader) *source { return &source{r: r, hash: blake3.New(32, nil)} }

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
		return 0, io.ErrClosedPipe
	case s.whole:
		return 0, io.EOF
	}
	n, err := s.r.Read(p)
	_, _ = s.hash.Write(p[:n]) // never fails
	s.size += int64(n)
	s.whole = errors.Is(err, io.EOF)
	if err != nil && !s.whole {
		s.failed = err
	}
	return n, err
}

// Close implements io.Closer; what is below is the caller's to close.
func (s *source) Close() error { return nil }

// sent is what was read, and whether that is all. While r is being read it is
// not.
func (s *source) sent() (id mcc.Hash, size int64, whole bool) {
	if !s.mu.TryLock() {
		return id, 0, false
	}
	defer s.mu.Unlock()
	return mcc.Hash(s.hash.Sum(nil)), s.size, s.whole
}

// failure is the reader's error, if it has come to that. A reader that is stuck
// has none.
func (s *source) failure() error {
	if !s.mu.TryLock() {
		return nil
	}
	defer s.mu.Unlock()
	return s.failed
}

// end waits until r is not read any more, unless ctx has ended: a caller who
// gives up on a reader that is stuck must not be stuck with it.
func (s *source) end(ctx context.Context) {
	if ctx.Err() == nil {
		s.mu.Lock()
	} else if !s.mu.TryLock() {
		return
	}
	s.over = true
	s.mu.Unlock()
}
