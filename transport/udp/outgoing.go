package udp

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/transport"
	"github.com/staex-mcc/mcc/transport/udp/mux"
	"github.com/staex-mcc/mcc/transport/udp/sealed"
)

// maxCall is the longest a call may be told to take.
const maxCall = 60 * time.Second

// Call implements transport.Transport.
func (t *Transport) Call(ctx context.Context, to transport.Contact, req transport.Request) (transport.Answer, error) {
	a := &ask{to: unmapped(to), req: req, timeout: callTimeout(ctx), reply: make(chan sealed.Result, 1)}
	res, err := t.calls.do(ctx, a)
	if err == nil {
		err = res.Err
	}
	if err != nil {
		return transport.Answer{}, fmt.Errorf("call %s: %w", to, err)
	}
	return res.Answer, nil
}

// callTimeout is a little more than ctx leaves, so that its end is what the
// caller sees; zero, without a deadline, is the endpoint's own.
func callTimeout(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return min(max(time.Until(end), 0)+time.Second, maxCall)
}

// do hands the call to run and waits for its result.
func (l *calls) do(ctx context.Context, a *ask) (sealed.Result, error) {
	if !a.to.Addr.IsValid() || a.to.Addr.Port() == 0 {
		return sealed.Result{}, fmt.Errorf("%w: the contact has no address", transport.ErrNoAnswer)
	}
	if len(a.req.Data) > transport.MaxRequest {
		return sealed.Result{}, fmt.Errorf("request of %d bytes: %w", len(a.req.Data), transport.ErrTooLong)
	}
	if err := ctx.Err(); err != nil {
		return sealed.Result{}, err
	}
	// The caller keeps its slice, and may have it back before run has read it.
	a.req.Data = slices.Clone(a.req.Data)
	if err := l.tell(ctx, command{ask: a}); err != nil {
		return sealed.Result{}, err
	}
	select {
	case res := <-a.reply:
		return res, nil
	case <-ctx.Done():
		_ = l.tell(context.WithoutCancel(ctx), command{cancel: a})
		return sealed.Result{}, ctx.Err()
	case <-l.stopped:
		return l.lastWord(a)
	}
}

// lastWord is the result of a call when run has returned.
func (l *calls) lastWord(a *ask) (sealed.Result, error) {
	select {
	case res := <-a.reply:
		return res, nil
	default:
		return sealed.Result{}, transport.ErrClosed
	}
}

// tell gives run a command, waiting for a place in its queue.
func (l *calls) tell(ctx context.Context, c command) error {
	select {
	case <-l.stopped:
		return transport.ErrClosed
	default:
	}
	select {
	case l.commands <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.stopped:
		return transport.ErrClosed
	}
}

func unmapped(c transport.Contact) transport.Contact {
	c.Addr = mux.Unmapped(c.Addr)
	return c
}
