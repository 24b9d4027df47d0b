package discovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht"
)

// maxParallel is how many leases are placed side by side.
const maxParallel = 16

// renewOnTick places every lease anew on one tick, so that what goes to the same
// holder goes at the same time.
func (r *Registry) renewOnTick() {
	tick := time.NewTicker(RenewEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
			r.mu.Lock()
			keys := slices.Collect(maps.Keys(r.offers))
			r.mu.Unlock()
			r.placeAll(r.ctx, keys)
		}
	}
}

// placeDirty places what changed between two ticks.
func (r *Registry) placeDirty() {
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.wake:
			r.placeAll(r.ctx, r.takeDirty())
		}
	}
}

func (r *Registry) markDirty(key dht.Key) {
	r.mu.Lock()
	r.dirty[key] = struct{}{}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (r *Registry) takeDirty() []dht.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := slices.Collect(maps.Keys(r.dirty))
	clear(r.dirty)
	return keys
}

// placeAll places the leases or withdrawals of keys side by side, each within
// attemptTimeout, and returns how many failed.
func (r *Registry) placeAll(ctx context.Context, keys []dht.Key) (failed int) {
	slices.SortFunc(keys, dht.Key.Compare)
	return sideBySide(len(keys), func(i int) error { return r.placeLogged(ctx, keys[i]) })
}

// sideBySide calls do for 0 to n-1, which begin in this order, maxParallel at a
// time, and returns how many failed.
func sideBySide(n int, do func(i int) error) (failed int) {
	errs := make([]error, n)
	slots := make(chan struct{}, maxParallel)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = do(i)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			failed++
		}
	}
	return failed
}

// placeLogged is place for callers who can do no more about an error.
func (r *Registry) placeLogged(ctx context.Context, key dht.Key) error {
	attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	err := r.place(attempt, key)
	if err != nil && ctx.Err() == nil {
		r.log.Warn("lease not placed", zap.Stringer("key", key), zap.Error(err))
	}
	return err
}

// place puts the lease for what is offered under key now, or its withdrawal if
// nothing is.
func (r *Registry) place(ctx context.Context, key dht.Key) error {
	_, err := r.placer.place(ctx, key, func() (dht.Lease, error) { return r.current(key) })
	return err
}

// current is the unsigned lease for what is offered under key. Content and
// number are taken together, so that a later number never has older content.
func (r *Registry) current(key dht.Key) (dht.Lease, error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	l := dht.Lease{Key: key, Seq: r.sequence.next(now)}
	o, offered := r.offers[key]
	if !offered || r.closed {
		return l, nil
	}
	var err error
	l.Expires = now.Add(dht.LeaseLife)
	l.Body, err = r.bodyOf(o.entry).encode()
	return l, err
}

func (r *Registry) bodyOf(e Entry) body {
	return body{
		label:      r.cfg.Identity.Certificate().Label(),
		consortium: r.cfg.Consortium,
		tags:       e.Tags,
		meta:       e.Meta,
		weight:     e.Weight,
		healthy:    !e.Unhealthy,
	}
}

// withdrawAll runs when closed is set and nobody else works any more.
func (r *Registry) withdrawAll(ctx context.Context) error {
	r.mu.Lock()
	keys := slices.Collect(maps.Keys(r.offers))
	for key := range r.dirty {
		if _, offered := r.offers[key]; !offered {
			keys = append(keys, key)
		}
	}
	clear(r.dirty)
	r.mu.Unlock()
	failed := r.placeAll(ctx, keys)
	r.mu.Lock()
	clear(r.offers)
	r.mu.Unlock()
	if failed == 0 || ctx.Err() == nil {
		return nil // what nobody could be told lapses
	}
	return fmt.Errorf("withdraw services: %d of %d left to lapse: %w", failed, len(keys), ctx.Err())
}

// isTransient reports whether renewals may well succeed where err came from:
// the network, not the lease.
func isTransient(err error) bool {
	return !errors.Is(err, dht.ErrMalformed) && !errors.Is(err, dht.ErrClosed) && !errors.Is(err, errSign)
}
