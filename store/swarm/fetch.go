package swarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/store/blob"
)

const (
	// patience is how long somebody waits without a group arriving before the
	// fetch fails with ErrUnreachable.
	patience = 30 * time.Second
	// openPatience is that time while no seeder has proven the size, so that
	// whoever opens the BLOB learns soon that they are all gone.
	openPatience = 10 * time.Second
	// mostPatience is that time while seeders are left that nobody has tried.
	mostPatience = 2 * time.Minute
)

// fetch is one BLOB on its way here. Its goroutine, run, finds seeders, starts
// links to them and ends it all; each link has a goroutine of its own. What they
// and the readers share is in state, under its lock.
type fetch struct {
	s   *Swarm
	id  blob.ID
	log *zap.Logger

	ctx    context.Context // ends with the last reader, the swarm, or a failure
	cancel context.CancelCauseFunc
	links  *crew         // goroutines of links and searches; owned by run
	wake   chan struct{} // one slot, for run
	found  chan search   // one slot: at most one search is under way
	turn   chan struct{} // a token: who proves the size first opens the partial

	sized chan struct{} // closed when the size is proven
	over  chan struct{} // closed when the fetch has failed or has no readers
	ended chan struct{} // closed when its files are closed

	// Under the swarm's lock.
	refs   int
	ending bool

	state state
	scout scout // owned by run
}

func newFetch(s *Swarm, id blob.ID) *fetch {
	f := &fetch{
		s: s, id: id, log: s.log.With(zap.Stringer("blob", id)), refs: 1,
		wake: make(chan struct{}, 1), found: make(chan search, 1), turn: make(chan struct{}, 1),
		sized: make(chan struct{}), over: make(chan struct{}), ended: make(chan struct{}),
	}
	f.ctx, f.cancel = context.WithCancelCause(s.ctx)
	f.links = newCrew(f.ctx)
	f.state.init(s.self, s.past, time.Now())
	f.scout.target = startLinks
	return f
}

// awaitSize waits until a seeder has proven the size.
func (f *fetch) awaitSize(ctx context.Context) error {
	select {
	case <-f.sized:
		return nil
	case <-f.over:
		return f.state.failure()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run owns the fetch until nobody reads it any more.
func (f *fetch) run() {
	defer f.windUp()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for f.ctx.Err() == nil {
		select {
		case <-timer.C:
		case <-f.wake:
		case found := <-f.found:
			f.take(found)
		case <-f.ctx.Done():
			return
		}
		if f.state.complete() && f.finish() {
			<-f.ctx.Done() // the readers go on
			return
		}
		timer.Reset(f.step(time.Now()))
	}
}

// finish makes a BLOB of which every group is here part of the store. It is
// false if that failed, or if groups turned out to be wrong on the disk.
func (f *fetch) finish() bool {
	f.links.end()
	partial := f.state.source().partial
	if partial == nil {
		f.s.forgetFetch(f) // the store has it already
		return true
	}
	if f.s.forget {
		f.s.counters.completed.Add(1)
		return true
	}
	info, err := partial.Complete("")
	switch {
	case errors.Is(err, blob.ErrMissing) && f.mend():
		f.links = newCrew(f.ctx)
		return false
	case err != nil:
		f.fail(fmt.Errorf("keep blob: %w", err))
		return false
	}
	f.s.forgetFetch(f)
	f.s.counters.completed.Add(1)
	f.announce(info)
	return true
}

// mend asks again for groups that were here and turned out to be wrong on the
// disk. It is false when there are none, or when that happens too often.
func (f *fetch) mend() bool {
	if !f.state.mend() {
		return false
	}
	f.s.counters.mended.Add(1)
	f.log.Warn("groups on disk were damaged and are fetched again")
	f.poke()
	return true
}

// announce tells the owner, in a goroutine of its own since it may take long.
func (f *fetch) announce(info blob.Info) {
	f.log.Info("blob fetched", zap.Int64("size", info.Size))
	if f.s.kept != nil {
		// run itself is counted, so the count is not zero here.
		f.s.wg.Go(func() { f.s.kept(info) })
	}
}

// fail ends the fetch with an error for all its readers.
func (f *fetch) fail(err error) {
	f.state.setFailure(err)
	f.cancel(err)
}

// windUp closes what the fetch has open. Readers that are left fail from here.
func (f *fetch) windUp() {
	f.s.setEnding(f)
	f.state.setFailure(f.cause())
	close(f.over)
	f.links.end()
	f.cancel(nil)
	if err := f.closeFiles(); err != nil {
		f.log.Warn("closing a blob failed", zap.Error(err))
	}
	f.s.forgetFetch(f)
	close(f.ended)
}

// cause is why the fetch ended, ErrClosed if nothing went wrong.
func (f *fetch) cause() error {
	err := context.Cause(f.ctx)
	if err == nil || errors.Is(err, context.Canceled) {
		return ErrClosed
	}
	if !errors.Is(err, ErrClosed) {
		f.s.counters.failed.Add(1)
	}
	return err
}

func (f *fetch) closeFiles() error {
	had := f.state.takeFiles()
	switch {
	case had.whole != nil:
		return had.whole.Close()
	case had.partial == nil:
		return nil
	case f.s.forget:
		return had.partial.Discard()
	}
	return had.partial.Close()
}

// poke makes run look again.
func (f *fetch) poke() { kick(f.wake) }

// kick fills a one-slot channel.
func kick(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
