package mcc

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/identity"
)

// offer is a service of this node: what stands behind a name.
type offer struct {
	service Service
	target  forward.Target // zero for ListenService
	backend *forward.Backend
	// listener is set for ListenService: raw streams go to it.
	listener *listener
	// stopHealth ends the health check.
	stopHealth context.CancelFunc
}

// offerTable holds this node's services and the streams that use them.
type offerTable struct {
	mu      sync.Mutex
	byName  map[string]*offer
	stopped bool
	// changed gets a word when an offer came or went.
	changed chan struct{}
}

func newOfferTable() *offerTable {
	return &offerTable{byName: make(map[string]*offer), changed: make(chan struct{}, 1)}
}

// tell wakes whoever waits for a change; one word is enough for several.
func (t *offerTable) tell() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *offerTable) add(o *offer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.stopped:
		return ErrClosed
	case t.byName[o.service.Name] != nil:
		return fmt.Errorf("service %s: %w", o.service.Name, ErrExists)
	}
	t.byName[o.service.Name] = o
	t.tell()
	return nil
}

// remove takes the offer out, unless another one took its place.
func (t *offerTable) remove(name string, only *offer) *offer {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.byName[name]
	if o == nil || only != nil && o != only {
		return nil
	}
	delete(t.byName, name)
	t.tell()
	return o
}

// get finds an offer that takes streams, or is nil.
func (t *offerTable) get(name string) *offer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return nil
	}
	return t.byName[name]
}

func (t *offerTable) list() []Service {
	services := []Service{}
	for _, o := range t.all() {
		services = append(services, o.service)
	}
	slices.SortFunc(services, byName)
	return services
}

// stop refuses new streams and services, and ends the health checks.
func (t *offerTable) stop() {
	t.mu.Lock()
	t.stopped = true
	t.mu.Unlock()
	for _, o := range t.all() {
		o.end()
	}
}

// drain waits for the streams of all services until ctx ends, then cuts them.
func (t *offerTable) drain(ctx context.Context) {
	var all sync.WaitGroup
	for _, o := range t.all() {
		all.Go(func() { _ = o.backend.Drain(ctx) }) // its error is that ctx ended
	}
	all.Wait()
}

func (t *offerTable) all() []*offer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.byName))
}

// end stops what the offer runs by itself; streams go on.
func (o *offer) end() {
	o.stopHealth()
	if o.listener != nil {
		o.listener.stop()
	}
}

// admits reports whether the service's allow list lets the peer in. An empty
// list admits everybody.
func (o *offer) admits(peer *identity.Peer) bool {
	if len(o.service.Allow) == 0 {
		return true
	}
	return slices.ContainsFunc(o.service.Allow, func(rule string) bool { return allowMatches(rule, peer) })
}
