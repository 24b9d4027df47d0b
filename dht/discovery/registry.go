package discovery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/store"
)

// Config is what a Registry works with.
type Config struct {
	// DHT keeps the leases; required, not closed.
	DHT dht.Leases
	// Identity signs them; required.
	Identity identity.Identity
	// Consortium is the node's own; empty in an open mesh.
	Consortium string
	// Store keeps the sequence of leases growing over restarts with a clock
	// that was set back, under the prefix "discovery/"; nil relies on the
	// clock. It is not closed.
	Store store.Store
	// Poll is how often a Watch looks; zero is DefaultPoll.
	Poll time.Duration
	// Logger gets what goes wrong in the background; nil is silent.
	Logger *zap.Logger
}

// Registry announces what this node offers and finds what others do. It is safe
// for concurrent use; Close it after use, before the DHT.
type Registry struct {
	cfg Config
	*placer
	*life

	// wake has one slot: somebody put a key into dirty.
	wake chan struct{}

	dropped atomic.Uint64

	// Guarded by mu: offers are the leases this node should hold, by their key.
	offers map[dht.Key]*offer
	// dirty are keys whose lease, or withdrawal, is to be placed as soon as
	// possible. There is one for each offer and each given up meanwhile.
	dirty map[dht.Key]struct{}
}

// offer is one registration; its entry belongs to the Registry's mu.
type offer struct{ entry Entry }

// New starts a Registry that offers nothing yet.
func New(cfg Config) *Registry {
	cfg.Poll = cmp.Or(cfg.Poll, DefaultPoll)
	r := &Registry{
		cfg:    cfg,
		placer: newPlacer(cfg.DHT, cfg.Identity, cfg.Store, sequenceKey, cfg.Logger),
		life:   newLife(),
		wake:   make(chan struct{}, 1),
		offers: make(map[dht.Key]*offer),
		dirty:  make(map[dht.Key]struct{}),
	}
	r.work.Go(r.renewOnTick)
	r.work.Go(r.placeDirty)
	return r
}

// Register offers a service and returns when its lease has been offered to the
// mesh. Reaching nobody is no error, since renewals follow. A name registered
// here already is ErrExists, a malformed entry ErrInvalid. After any error the
// name is not registered.
func (r *Registry) Register(ctx context.Context, e Entry) error {
	e = e.clone()
	e.Weight = cmp.Or(e.Weight, 1)
	if err := ValidateName(e.Name); err != nil {
		return err
	}
	if _, err := r.bodyOf(e).encode(); err != nil {
		return fmt.Errorf("service %q: %w", e.Name, err)
	}
	if err := r.announce(ctx, Key(r.cfg.Consortium, e.Name), e); err != nil {
		return fmt.Errorf("register %q: %w", e.Name, err)
	}
	return nil
}

// RegisterLabel lets others find this node by the label in its certificate, and
// returns as Register does. A node without a label has nothing to register; a
// second call is ErrExists.
func (r *Registry) RegisterLabel(ctx context.Context) error {
	label := r.cfg.Identity.Certificate().Label()
	if label == "" {
		return nil
	}
	if err := r.announce(ctx, LabelKey(label), Entry{Weight: 1}); err != nil {
		return fmt.Errorf("register label %q: %w", label, err)
	}
	return nil
}

// announce adds e under key and places its lease.
func (r *Registry) announce(ctx context.Context, key dht.Key, e Entry) error {
	ctx, end, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	o := &offer{e}
	if err := r.add(key, o); err != nil {
		return err
	}
	err = r.place(ctx, key)
	if err == nil || isTransient(err) && ctx.Err() == nil {
		return nil
	}
	// Some of it may have been placed.
	r.remove(key, o)
	r.markDirty(key)
	return r.reason(err)
}

func (r *Registry) add(key dht.Key, o *offer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, exists := r.offers[key]; exists {
		return ErrExists
	}
	if len(r.offers) == MaxEntries {
		return fmt.Errorf("%w: %d are the most", ErrFull, MaxEntries)
	}
	r.offers[key] = o
	return nil
}

// remove takes away the offer under key, only if it is this one unless that is
// nil, and reports whether it did.
func (r *Registry) remove(key dht.Key, only *offer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, exists := r.offers[key]
	if !exists || only != nil && only != o {
		return false
	}
	delete(r.offers, key)
	return true
}

// Update says whether a service works and returns at once; a new lease follows
// in the background if that is news. An unknown name is ErrNotFound.
func (r *Registry) Update(name string, healthy bool) error {
	key := Key(r.cfg.Consortium, name)
	r.mu.Lock()
	o, exists := r.offers[key]
	changed := exists && o.entry.Unhealthy == healthy
	if changed {
		o.entry.Unhealthy = !healthy
	}
	closed := r.closed
	r.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case !exists:
		return fmt.Errorf("update %q: %w", name, ErrNotFound)
	case changed:
		r.markDirty(key)
	}
	return nil
}

// Withdraw ends the offer of a service and returns when that has been told to
// the mesh; reaching nobody is no error. The name is free at once, whatever the
// result; a ctx that ends early leaves the telling to the background. An unknown
// name is ErrNotFound.
func (r *Registry) Withdraw(ctx context.Context, name string) error {
	ctx, end, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	key := Key(r.cfg.Consortium, name)
	if !r.remove(key, nil) {
		return fmt.Errorf("withdraw %q: %w", name, ErrNotFound)
	}
	err = r.place(ctx, key)
	if err == nil || isTransient(err) && ctx.Err() == nil {
		return nil
	}
	r.markDirty(key)
	return fmt.Errorf("withdraw %q: %w", name, r.reason(err))
}

// Entries are the services this node offers, by name. They belong to the
// caller.
func (r *Registry) Entries() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries := make([]Entry, 0, len(r.offers))
	for _, o := range r.offers {
		if o.entry.Name != "" { // the label has no name
			entries = append(entries, o.entry.clone())
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries
}

// Stats returns the counters.
func (r *Registry) Stats() Stats {
	return Stats{
		Placed:         r.placed.Load(),
		Unacknowledged: r.unacknowledged.Load(),
		Failed:         r.failed.Load(),
		Dropped:        r.dropped.Load(),
	}
}

// Close ends running calls with ErrClosed, withdraws everything side by side,
// and waits; leases that could not be withdrawn before ctx ended lapse by
// themselves, and the error says how many. It is idempotent: a later call waits
// for the first and returns its error.
func (r *Registry) Close(ctx context.Context) error {
	return r.end(func() error { return r.withdrawAll(ctx) })
}
