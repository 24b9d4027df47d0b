package udp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/staex-mcc/mcc/transport"
)

const (
	// maxDials bounds the handshakes this node has under way; more dials wait
	// for their turn.
	maxDials = 256
	// headStart is how long a dial tries an address other than that of a live
	// connection to the same peer: the peer may have moved, or the address may
	// never have worked.
	headStart = 2 * time.Second
)

// Dial implements transport.Transport. Streams to one peer share a connection,
// and so do dials at the same time. Without a deadline in ctx it ends after
// Options.DialTimeout.
func (t *Transport) Dial(ctx context.Context, to transport.Contact, open transport.Open) (transport.Stream, error) {
	if to.ID.IsZero() {
		return nil, fmt.Errorf("dial %s: %w", to, transport.ErrNoID)
	}
	if err := checkOpen(open); err != nil {
		return nil, fmt.Errorf("dial %s: %w", to, err)
	}
	bounded, cancel := t.bound(ctx)
	defer cancel()
	s, err := t.dial(bounded, unmapped(to), open)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", to, t.why(ctx, bounded, err))
	}
	t.counts.streamsDialed.Add(1)
	return s, nil
}

// bound adds the transport's own limits to the context of a dial.
func (t *Transport) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, t.opts.DialTimeout)
	stop := context.AfterFunc(t.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// why chooses among the reasons of a failure: closing, the caller's context,
// our own timeout, or err itself.
func (t *Transport) why(user, bounded context.Context, err error) error {
	switch {
	case t.ctx.Err() != nil:
		return transport.ErrClosed
	case user.Err() != nil:
		return user.Err()
	case bounded.Err() != nil && errors.Is(err, bounded.Err()):
		return transport.ErrNoAnswer
	}
	return err
}

// dial opens the stream: once more if the connection it took had just ended, and
// on another one as long as it meets clogged ones.
func (t *Transport) dial(ctx context.Context, to transport.Contact, open transport.Open) (*stream, error) {
	var c *conn
	var err error
	for clogged, fresh := 0, false; clogged <= maxPerPeer; {
		if !fresh {
			c, err = t.reuse(ctx, to)
		}
		if err == nil && (fresh || c == nil) {
			fresh = true
			c, err = t.another(ctx, to)
		}
		if err != nil {
			return nil, err
		}
		s, err := t.openStream(ctx, c, open)
		switch {
		case errors.Is(err, errStale) && !fresh:
			fresh = true
		case errors.Is(err, errClogged):
			t.clog(c)
			clogged++
			fresh = false
		default:
			return s, err
		}
	}
	return nil, allClogged()
}

// another returns a connection besides those there are.
func (t *Transport) another(ctx context.Context, to transport.Contact) (*conn, error) {
	addr, room := t.conns.beside(to.ID)
	if !room {
		return nil, allClogged()
	}
	if !to.Addr.IsValid() {
		to.Addr = addr
	}
	c, err := t.connect(ctx, to)
	if _, refused := errors.AsType[*transport.RefusedError](err); refused {
		// Another dial may have taken the last place in the table just now.
		if have, _ := t.conns.acquire(to.ID, to.Addr, time.Now()); have != nil {
			return have, nil
		}
	}
	return c, err
}

// reuse returns a live connection to the peer, if there is one. It is given
// back with one stream counted.
func (t *Transport) reuse(ctx context.Context, to transport.Contact) (*conn, error) {
	c, at := t.conns.acquire(to.ID, to.Addr, time.Now())
	if c == nil || at || !to.Addr.IsValid() {
		return c, nil
	}
	// Live, but elsewhere. Should the peer have moved, the new address answers
	// soon.
	soon, cancel := context.WithTimeout(ctx, headStart)
	defer cancel()
	moved, err := t.connect(soon, to)
	if err != nil {
		return c, ctx.Err()
	}
	t.conns.release(c, time.Now(), false)
	return moved, nil
}

// dialing is a handshake under way; several dials may wait for it.
type dialing struct {
	done chan struct{}
	c    *conn
	err  error
}

// dials are the handshakes under way, by contact.
type dials struct {
	slots chan struct{}

	mu      sync.Mutex
	running map[transport.Contact]*dialing
}

func newDials() *dials {
	return &dials{slots: make(chan struct{}, maxDials), running: make(map[transport.Contact]*dialing)}
}

// join returns the handshake to a contact, and whether the caller has to do it.
func (d *dials) join(to transport.Contact) (*dialing, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if have := d.running[to]; have != nil {
		return have, false
	}
	dl := &dialing{done: make(chan struct{})}
	d.running[to] = dl
	return dl, true
}

func (d *dials) finish(to transport.Contact, dl *dialing, c *conn, err error) {
	d.mu.Lock()
	delete(d.running, to)
	d.mu.Unlock()
	dl.c, dl.err = c, err
	close(dl.done)
}

// connect returns a connection to the contact, made here or by a dial under way.
// It comes with one stream counted. It may have ended already; opening a stream
// tells why.
func (t *Transport) connect(ctx context.Context, to transport.Contact) (*conn, error) {
	if !to.Addr.IsValid() || to.Addr.Port() == 0 {
		return nil, fmt.Errorf("%w: the contact has no address", transport.ErrNoAnswer)
	}
	dl, mine := t.dials.join(to)
	// Not ended by ctx: others may be waiting for it too.
	if mine && !t.tasks.Start(func() { t.runDial(to, dl) }) {
		t.dials.finish(to, dl, nil, transport.ErrClosed)
	}
	select {
	case <-dl.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if dl.err != nil {
		return nil, dl.err
	}
	t.conns.use(dl.c)
	return dl.c, nil
}

// runDial is the goroutine of one handshake.
func (t *Transport) runDial(to transport.Contact, dl *dialing) {
	ctx, cancel := t.bound(context.Background())
	defer cancel()
	c, err := t.handshake(ctx, to)
	t.dials.finish(to, dl, c, err)
	if err == nil {
		t.conns.release(c, time.Now(), false)
	}
}

// handshake makes a connection, which comes with one stream counted.
func (t *Transport) handshake(ctx context.Context, to transport.Contact) (*conn, error) {
	select {
	case t.dials.slots <- struct{}{}:
		defer func() { <-t.dials.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	qc, peer, err := t.dialQUIC(ctx, to)
	if err != nil {
		return nil, err
	}
	c, err := t.enter(qc, peer)
	if err != nil {
		return nil, &transport.RefusedError{Reason: transport.ReasonBusy, Text: "this node has " + err.Error()}
	}
	return c, nil
}
