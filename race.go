package mcc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/staex-mcc/mcc/dht/discovery"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// Bounds of a dial that has several providers to choose from.
const (
	// providerHead is how long a provider may be silent before the next one is
	// tried beside it (as RFC 8305 does with addresses).
	providerHead = 500 * time.Millisecond
	// failureMemory is how long a provider that failed is tried after all
	// others.
	failureMemory = 30 * time.Second
	// maxFailures bounds the remembered failures; past it all are forgotten.
	maxFailures = 1024
)

// attempt is what became of the dial of one provider.
type attempt struct {
	provider identity.ID
	conn     net.Conn
	err      error
}

// dialFirst dials the candidates in their order and returns the first
// connection. The next candidate's turn comes when one failed, or has said
// nothing for providerHead.
func (n *Node) dialFirst(ctx context.Context, candidates []discovery.Provider, open transport.Open) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	attempts := make(chan attempt)
	running := make(map[identity.ID]bool)
	next := func() {
		if len(candidates) == 0 {
			return
		}
		c := candidates[0]
		candidates = candidates[1:]
		running[c.ID] = true
		n.life.wg.Go(func() { n.attempt(ctx, c, open, attempts) })
	}
	next()
	head := time.NewTicker(providerHead)
	defer head.Stop()
	var errs []error
	for len(running) > 0 {
		select {
		case a := <-attempts:
			delete(running, a.provider)
			if a.err == nil {
				n.failures.forget(a.provider)
				n.failures.note(running) // silent while another answered
				return a.conn, nil
			}
			if !errors.Is(a.err, ErrBusy) {
				n.failures.note(map[identity.ID]bool{a.provider: true})
			}
			errs = append(errs, fmt.Errorf("provider %s: %w", a.provider, a.err))
			next()
			head.Reset(providerHead)
		case <-head.C:
			next()
		case <-ctx.Done():
			errs = append(errs, ctx.Err())
			return nil, dialError(errs)
		}
	}
	return nil, dialError(errs)
}

// attempt dials one provider. A connection that comes when another has won is
// reset.
func (n *Node) attempt(ctx context.Context, p discovery.Provider, open transport.Open, attempts chan<- attempt) {
	conn, err := n.dialProvider(ctx, p, open)
	select {
	case attempts <- attempt{provider: p.ID, conn: conn, err: err}:
	case <-ctx.Done():
		if err == nil {
			reset(conn)
		}
	}
}

// Waits of a dial whose providers are all busy: a burst is over soon.
const (
	busyFirst = 50 * time.Millisecond
	busyMost  = 5 * time.Second
)

// dialPatiently is dialFirst, again after a while as long as every provider is
// busy.
func (n *Node) dialPatiently(ctx context.Context, candidates []discovery.Provider, open transport.Open) (net.Conn, error) {
	wait := busyFirst
	for waited := time.Duration(0); ; waited += wait {
		conn, err := n.dialFirst(ctx, candidates, open)
		if !errors.Is(err, ErrBusy) || waited >= busyMost {
			return conn, err
		}
		wait = min(2*wait, time.Second)
		if !sleep(ctx, wait/2+rand.N(wait/2)) {
			return nil, err
		}
	}
}

// dialError sums up why no provider could be reached: as a denial, as busy, or
// as nobody offering the service, only when all of them said so.
func dialError(errs []error) error {
	for _, all := range []struct{ cause, sentinel error }{
		{ErrDenied, ErrDenied}, {ErrBusy, ErrBusy}, {ErrNotFound, ErrNoProvider},
	} {
		count := 0
		for _, err := range errs {
			if errors.Is(err, all.cause) {
				count++
			}
		}
		if count == len(errs) {
			return fmt.Errorf("%w: %w", all.sentinel, errors.Join(errs...))
		}
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, errors.Join(errs...))
}

// failures remembers which providers failed lately.
type failures struct {
	mu   sync.Mutex
	last map[identity.ID]time.Time
}

func newFailures() *failures { return &failures{last: make(map[identity.ID]time.Time)} }

func (f *failures) note(ids map[identity.ID]bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.last)+len(ids) > maxFailures {
		clear(f.last)
	}
	for id := range ids {
		f.last[id] = time.Now()
	}
}

func (f *failures) forget(id identity.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.last, id)
}

func (f *failures) recent(id identity.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.last[id]) < failureMemory
}
