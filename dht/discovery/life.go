package discovery

import (
	"context"
	"errors"
	"sync"

	"github.com/staex-mcc/mcc/dht"
)

// life is how something that works in the background ends. Its owner guards
// state of its own with mu too.
type life struct {
	// ctx ends when closing begins; work counts all that runs under it.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	// done is closed when closing is through; closeErr is set before.
	done     chan struct{}
	closeErr error

	mu     sync.Mutex
	closed bool
}

func newLife() *life {
	ctx, cancel := context.WithCancel(context.Background())
	return &life{ctx: ctx, cancel: cancel, done: make(chan struct{})}
}

// begin makes a call part of what end waits for. The returned context ends with
// ctx and with closing.
func (l *life) begin(ctx context.Context) (_ context.Context, finish func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, ErrClosed
	}
	l.work.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ctx, cancel)
	return ctx, func() { stop(); cancel(); l.work.Done() }, nil
}

// reason names closing where it is what ended a call.
func (l *life) reason(err error) error {
	if l.ctx.Err() != nil || errors.Is(err, dht.ErrClosed) {
		return ErrClosed
	}
	return err
}

// end ends running calls with ErrClosed, waits for them, and does the last act.
// A later call waits for the first and returns its error.
func (l *life) end(lastAct func() error) error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.mu.Unlock()
	if !first {
		<-l.done
		return l.closeErr
	}
	l.cancel()
	l.work.Wait()
	l.closeErr = lastAct()
	close(l.done)
	return l.closeErr
}
