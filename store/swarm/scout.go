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
	startLinks = 4 // seeders asked at once to begin with
	maxLinks   = 8 // and at most, but for those that are being replaced
	// maxDials is how many are dialled at once, and mostLinks how many links
	// there are in all, of which up to maxLinks are about to be replaced.
	maxDials  = 16
	mostLinks = 2*maxLinks + maxDials
	// freshDial is for how long a dial keeps the next one from being made.
	freshDial = 500 * time.Millisecond
	// growEvery is how often it is judged whether one more seeder would help.
	growEvery = 250 * time.Millisecond
	// lookEvery is how often more seeders are looked for while some deliver, but
	// fewer than would be asked.
	lookEvery   = 10 * time.Second
	findTimeout = 20 * time.Second
)

// scout decides how many seeders are asked and when more are looked for. Only
// run touches it.
type scout struct {
	target   int // links wanted
	extra    int // 1 while a new seeder is tried although target is reached
	nextSift time.Time
	looking  bool
	looks    int       // searches since the last progress
	nextLook time.Time // zero: at once
	nextGrow time.Time
	lastGain int64     // bytes between the last two looks at it
	lastSeen time.Time // the progress that looks was reset for
}

// search is what FindSeeders answered.
type search struct {
	seeders []Seeder
	err     error
}

// step does what is due and says in how long to come back.
func (f *fetch) step(now time.Time) time.Duration {
	if !f.state.busy() {
		return time.Hour // readers and seeders poke
	}
	if f.state.stalled(now) {
		f.fail(f.unreachable())
		return 0
	}
	f.grow(now)
	f.sift(now)
	f.startLinks(now)
	f.look(now)
	return f.nextStep(now)
}

// grow asks one more seeder when the links there are bring no more than before.
func (f *fetch) grow(now time.Time) {
	if now.Before(f.scout.nextGrow) {
		return
	}
	gain, links := f.state.gain()
	stalls := float64(gain) <= 1.1*float64(f.scout.lastGain)
	if stalls && links >= f.scout.target && f.scout.target < maxLinks {
		f.scout.target++
	}
	f.scout.lastGain = gain
	f.scout.nextGrow = now.Add(growEvery)
}

func (f *fetch) startLinks(now time.Time) {
	for {
		l := f.state.hire(f, f.scout.target+f.scout.extra, now)
		if l == nil {
			return
		}
		f.links.start(l.run)
	}
}

// look starts a search when too few seeders are at hand.
func (f *fetch) look(now time.Time) {
	sc := &f.scout
	if links, _ := f.state.progress(now); links == 0 && sc.nextLook.Sub(now) > maxBackoff {
		sc.nextLook = now // the last one that delivered has gone
	}
	if sc.looking || now.Before(sc.nextLook) || f.state.enough(sc.target, now) {
		return
	}
	sc.looking = true
	f.links.start(f.search)
}

func (f *fetch) search(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	seeders, err := f.s.network.FindSeeders(ctx, f.id)
	f.found <- search{seeders, err}
}

// take works in what a search has found.
func (f *fetch) take(found search) {
	now := time.Now()
	added, dropped := f.state.meet(found.seeders)
	f.s.counters.dropped.Add(uint64(dropped))
	f.scout.looking = false
	f.pause(now)
	f.log.Debug("looked for seeders", zap.Int("n", added), zap.Error(found.err))
	if found.err != nil {
		f.state.blame(fmt.Errorf("find seeders: %w", found.err))
	}
	if f.state.proven() || f.ctx.Err() != nil {
		return
	}
	switch known, liars := f.state.acquaintances(); {
	case !known && found.err != nil:
		f.fail(fmt.Errorf("find seeders: %w", found.err))
	case !known:
		f.fail(ErrNotFound)
	case liars:
		f.fail(f.unreachable())
	}
}

// pause sets when to look again: soon when nobody delivers, later each time.
func (f *fetch) pause(now time.Time) {
	sc := &f.scout
	links, seen := f.state.progress(now)
	if links > 0 {
		sc.nextLook = now.Add(lookEvery)
		return
	}
	if seen.After(sc.lastSeen) {
		sc.looks, sc.lastSeen = 0, seen
	}
	sc.nextLook = now.Add(backoff(sc.looks))
	sc.looks++
}

func (f *fetch) nextStep(now time.Time) time.Duration {
	next := now.Add(growEvery)
	if retry := f.state.nextRetry(now); !retry.IsZero() && retry.Before(next) {
		next = retry
	}
	if !f.scout.looking && f.scout.nextLook.After(now) && f.scout.nextLook.Before(next) {
		next = f.scout.nextLook
	}
	return max(next.Sub(now), time.Millisecond)
}

func (f *fetch) unreachable() error { return unreachable(f.state.lastError()) }

// judge ends a link: a liar is banned, one that failed is set aside for a while.
func (f *fetch) judge(l *link, err error) {
	lied := errors.Is(err, blob.ErrMismatch)
	f.state.dismiss(l, err, lied, time.Now())
	switch {
	case errors.Is(err, errSlow):
		f.s.counters.outpaced.Add(1)
		f.log.Debug("seeder replaced", zap.Stringer("peer", l.from.Node))
	case f.ctx.Err() != nil || errors.Is(err, errIdle) || f.state.complete():
	case lied:
		f.s.counters.banned.Add(1)
		f.log.Warn("seeder sent a wrong byte", zap.Stringer("peer", l.from.Node), zap.Error(err))
	default:
		f.s.counters.unlinked.Add(1)
		f.log.Debug("seeder failed", zap.Stringer("peer", l.from.Node), zap.Error(err))
	}
	f.poke()
}
