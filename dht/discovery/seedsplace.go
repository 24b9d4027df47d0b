package discovery

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht"
)

// maxSeedsParallel is how many leases of seeders are placed side by side.
const maxSeedsParallel = 4

// run places what the schedule says, one after the other.
func (s *Seeds) run() {
	slots := make(chan struct{}, maxSeedsParallel)
	for {
		s.mu.Lock()
		e, wait := s.schedule.next(time.Now())
		gap := s.schedule.gap()
		s.mu.Unlock()
		if e == nil {
			if !s.pause(wait, s.wake) {
				return
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		s.work.Go(func() {
			defer func() { <-slots }()
			s.attemptLogged(s.ctx, e)
		})
		if !s.pause(gap, nil) {
			return
		}
	}
}

// pause waits for d or until sooner has something; a d of zero waits for sooner
// alone. It reports false when Close ended it.
func (s *Seeds) pause(d time.Duration, sooner <-chan struct{}) bool {
	var expired <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-expired:
	case <-sooner:
	case <-s.ctx.Done():
		return false
	}
	return true
}

func (s *Seeds) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake already
	}
}

// attemptLogged is attempt within attemptTimeout, for callers who can do no more
// about an error.
func (s *Seeds) attemptLogged(ctx context.Context, e *seedEntry) error {
	within, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	err := s.attempt(within, e)
	if err != nil && ctx.Err() == nil {
		s.log.Warn("seeder's lease not placed", zap.Stringer("key", e.key), zap.Error(err))
	}
	return err
}

// attempt places the lease of e, or its withdrawal, and puts e back into the
// schedule, which counts it as busy already.
func (s *Seeds) attempt(ctx context.Context, e *seedEntry) error {
	var version uint64
	acks, err := s.place(ctx, e.key, func() (l dht.Lease, _ error) {
		l, version = s.current(e)
		return l, nil
	})
	s.mu.Lock()
	s.schedule.finish(e, version, err == nil && acks > 0, time.Now())
	s.mu.Unlock()
	s.signal()
	return err
}

// current is the unsigned lease or withdrawal for what e is now, and the version
// of e that it tells. Content and number are taken together, so that a later
// number never has older content.
func (s *Seeds) current(e *seedEntry) (dht.Lease, uint64) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	l := dht.Lease{Key: e.key, Seq: s.sequence.next(now)}
	if e.announced && !s.closed {
		l.Expires = now.Add(SeedLife)
		e.expires = l.Expires // even a try that fails may reach somebody
	}
	return l, e.version
}

// withdrawAll runs when closed is set and nobody else works any more.
func (s *Seeds) withdrawAll(ctx context.Context) error {
	s.mu.Lock()
	left := s.schedule.toWithdraw(time.Now())
	s.mu.Unlock()
	failed := sideBySide(len(left), func(i int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return s.attemptLogged(ctx, left[i])
	})
	s.mu.Lock()
	s.schedule.clear()
	s.mu.Unlock()
	if failed == 0 || ctx.Err() == nil {
		return nil // what nobody could be told lapses
	}
	return fmt.Errorf("withdraw blobs: %d of %d left to lapse: %w", failed, len(left), ctx.Err())
}
