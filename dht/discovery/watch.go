package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

// Watch yields what changes among the providers of a service: first an Added for
// each that is there, then what a look every Config.Poll finds different. A
// renewed lease that says the same is no change. While looks fail, a provider
// whose lease could not be seen renewed for dht.LeaseLife is Removed.
//
// The sequence ends silently when ctx does; any other end is told by the error
// of its last pair: ErrInvalid or ErrClosed. It runs in the caller's loop.
func (r *Registry) Watch(ctx context.Context, consortium, name string) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if err := errors.Join(ValidateName(name), checkConsortium(consortium)); err != nil {
			yield(Change{}, err)
			return
		}
		key := Key(consortium, name)
		wanted := func(b body) bool { return b.consortium == consortium }
		v := view{}
		for {
			changes, err := r.look(ctx, key, wanted, v)
			if ctx.Err() != nil {
				return
			}
			if errors.Is(err, ErrClosed) {
				yield(Change{}, fmt.Errorf("watch %q: %w", name, err))
				return
			}
			for _, c := range changes {
				if !yield(c, nil) {
					return
				}
			}
			r.pause(ctx, r.cfg.Poll)
		}
	}
}

// look asks the network once and brings v up to date. A look that failed ages v
// all the same.
func (r *Registry) look(ctx context.Context, key dht.Key, wanted func(body) bool, v view) ([]Change, error) {
	attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	found, err := r.find(attempt, key, wanted)
	if err != nil {
		return v.expire(time.Now()), err
	}
	return v.update(time.Now(), found), nil
}

// pause waits for d, the end of ctx, or Close.
func (r *Registry) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-r.ctx.Done():
	}
}

// view is what a Watch has seen.
type view map[identity.ID]sighting

type sighting struct {
	lease lease
	// renewed is when this version was first seen, by the own clock, so that
	// the clocks of others do not matter.
	renewed time.Time
}

// update takes over what was found, and returns the difference in the order of
// ids.
func (v view) update(now time.Time, found []lease) []Change {
	changes := v.drop(func(id identity.ID) bool {
		return !slices.ContainsFunc(found, func(l lease) bool { return l.Provider == id })
	})
	for _, l := range found {
		old, known := v[l.Provider]
		if known && old.lease.Seq >= l.Seq {
			continue
		}
		v[l.Provider] = sighting{l, now}
		switch {
		case !known:
			changes = append(changes, Change{Added, l.provider()})
		case !bytes.Equal(old.lease.Body, l.Body):
			changes = append(changes, Change{Updated, l.provider()})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return a.Provider.ID.Compare(b.Provider.ID) })
	return changes
}

// expire drops what should have been seen renewed by now.
func (v view) expire(now time.Time) []Change {
	return v.drop(func(id identity.ID) bool { return now.Sub(v[id].renewed) >= dht.LeaseLife })
}

func (v view) drop(gone func(identity.ID) bool) []Change {
	var changes []Change
	for _, id := range slices.SortedFunc(maps.Keys(v), identity.ID.Compare) {
		if gone(id) {
			changes = append(changes, Change{Removed, v[id].lease.provider()})
			delete(v, id)
		}
	}
	return changes
}
