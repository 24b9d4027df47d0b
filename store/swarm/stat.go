package swarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/staex-mcc/mcc/store/blob"
)

// statTimeout bounds a Stat of a BLOB that is not here.
const statTimeout = 30 * time.Second

// Info is what is known of a BLOB.
type Info struct {
	ID    blob.ID
	Size  int64 // in bytes, proven
	Local bool  // whole, in this node's store
	// Name and Added are the store's, zero when it is not there.
	Name  string
	Added time.Time
}

func localInfo(i blob.Info) Info {
	return Info{ID: i.ID, Size: i.Size, Local: true, Name: i.Name, Added: i.Added}
}

// Stat tells what is known of a BLOB. When it is not here, it asks seeders to
// prove the size and keeps nothing. It blocks for 30 s at most. Errors are those
// of Open.
func (s *Swarm) Stat(ctx context.Context, id blob.ID) (Info, error) {
	i, err := s.store.Stat(id)
	switch {
	case err == nil:
		return localInfo(i), nil
	case !errors.Is(err, blob.ErrNotFound):
		return Info{}, fmt.Errorf("stat blob %s: %w", id, err)
	}
	size, err := s.statFar(ctx, id)
	if err != nil {
		return Info{}, fmt.Errorf("stat blob %s: %w", id, err)
	}
	return Info{ID: id, Size: size}, nil
}

func (s *Swarm) statFar(ctx context.Context, id blob.ID) (int64, error) {
	if s.ctx.Err() != nil {
		return 0, ErrClosed
	}
	if size := s.fetchedSize(id); size >= 0 {
		return size, nil
	}
	if err := s.beginAsking(); err != nil {
		return 0, err
	}
	defer s.endAsking()
	limited, cancel := context.WithTimeout(ctx, statTimeout)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	size, err := s.askSize(limited, id)
	switch {
	case err == nil:
		return size, nil
	case s.ctx.Err() != nil:
		return 0, ErrClosed
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	}
	return 0, err
}

// fetchedSize is the size of a BLOB that is being fetched, or -1.
func (s *Swarm) fetchedSize(id blob.ID) int64 {
	s.mu.Lock()
	f := s.fetches[id]
	s.mu.Unlock()
	if f == nil {
		return -1
	}
	return f.state.provenSize()
}

func (s *Swarm) beginAsking() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.asking == maxFetches:
		s.counters.refused.Add(1)
		return fmt.Errorf("%w: %d stats", ErrBusy, maxFetches)
	}
	s.asking++
	s.wg.Add(1)
	return nil
}

func (s *Swarm) endAsking() {
	s.mu.Lock()
	s.asking--
	s.mu.Unlock()
	s.wg.Done()
}

// askSize takes the first proof of seeders asked side by side.
func (s *Swarm) askSize(ctx context.Context, id blob.ID) (int64, error) {
	found, err := s.network.FindSeeders(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("find seeders: %w", err)
	}
	return s.newInquiry(ctx, id, found).run(ctx)
}
