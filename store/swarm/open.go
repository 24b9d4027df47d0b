package swarm

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/store/blob"
)

// Open returns a reader of the BLOB: of the store's when it is there, else of
// one that is fetched as it is read; all readers of a BLOB share one fetch. It
// blocks until a seeder has proven the size. ctx bounds that and all reads of
// the reader. Close the reader.
//
// Errors: ErrNotFound when nobody has the BLOB, ErrUnreachable when nobody who
// says so has delivered for 30 s, or all have lied, ErrBusy over 64 fetches or
// 1024 readers, blob.ErrDamaged when it is here but not whole, ErrClosed, what
// FindSeeders failed with, or ctx's.
func (s *Swarm) Open(ctx context.Context, id blob.ID) (*Reader, error) {
	if err := s.takeReader(); err != nil {
		return nil, fmt.Errorf("open blob %s: %w", id, err)
	}
	r, err := s.open(ctx, id)
	if err != nil {
		s.giveReader()
		return nil, fmt.Errorf("open blob %s: %w", id, err)
	}
	return r, nil
}

func (s *Swarm) open(ctx context.Context, id blob.ID) (*Reader, error) {
	for {
		b, err := s.store.Get(id)
		if err == nil {
			return newReader(ctx, s, b, nil), nil
		}
		if !errors.Is(err, blob.ErrNotFound) {
			return nil, err
		}
		f, ending, err := s.join(id)
		if err != nil {
			return nil, err
		}
		if ending {
			// Its files are being closed; then it is tried anew.
			if err := await(ctx, f.ended); err != nil {
				return nil, err
			}
			continue
		}
		if err := f.awaitSize(ctx); err != nil {
			f.release()
			return nil, err
		}
		return newReader(ctx, s, nil, f), nil
	}
}

// await waits for done or the end of ctx.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Swarm) takeReader() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.readers == maxReaders:
		s.counters.refused.Add(1)
		return fmt.Errorf("%w: %d readers", ErrBusy, maxReaders)
	}
	s.readers++
	return nil
}

func (s *Swarm) giveReader() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers--
}

// join finds the fetch of a BLOB or starts one, and counts the caller in; it
// owes a release, unless the fetch is ending.
func (s *Swarm) join(id blob.ID) (f *fetch, ending bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, ErrClosed
	}
	if f := s.fetches[id]; f != nil {
		if f.ending {
			return f, true, nil
		}
		f.refs++
		return f, false, nil
	}
	if len(s.fetches) == maxFetches {
		s.counters.refused.Add(1)
		return nil, false, fmt.Errorf("%w: %d fetches", ErrBusy, maxFetches)
	}
	f = newFetch(s, id)
	s.fetches[id] = f
	s.wg.Go(f.run)
	return f, false, nil
}

// release counts a reader out; the last one ends the fetch.
func (f *fetch) release() {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.refs--; f.refs == 0 {
		f.ending = true
		f.cancel(nil)
	}
}

// forgetFetch takes a fetch that is over, or whole, off the list.
func (s *Swarm) forgetFetch(f *fetch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fetches[f.id] == f {
		delete(s.fetches, f.id)
	}
}

// setEnding keeps newcomers out of a fetch that has failed.
func (s *Swarm) setEnding(f *fetch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.ending = true
}

func (s *Swarm) sweep() {
	n, err := s.store.SweepPartials(sweepAfter)
	s.counters.sweptOut.Add(uint64(max(n, 0)))
	if err != nil {
		s.log.Warn("sweep of partial blobs failed", zap.Error(err))
	}
}
