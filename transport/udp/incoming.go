package udp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
	"github.com/staex-mcc/mcc/transport/udp/sealed"
)

// errAnswerLost: the run loop is too far behind. The peer will ask again.
var errAnswerLost = errors.New("answer dropped: too many are waiting")

// incoming is a transport.IncomingCall.
type incoming struct {
	l        *calls
	req      sealed.Request
	answered atomic.Bool
}

var _ transport.IncomingCall = (*incoming)(nil)

// Peer implements transport.IncomingCall.
func (c *incoming) Peer() *identity.Peer { return c.req.Peer }

// From implements transport.IncomingCall.
func (c *incoming) From() netip.AddrPort { return c.req.From }

// Data implements transport.IncomingCall.
func (c *incoming) Data() []byte { return c.req.Data }

// Early implements transport.IncomingCall.
func (c *incoming) Early() bool { return c.req.Early }

// MaxAnswer implements transport.IncomingCall.
func (c *incoming) MaxAnswer() int { return c.req.MaxAnswer }

// Answer implements transport.IncomingCall. An answer that is too long does not
// count.
func (c *incoming) Answer(data []byte) error {
	if len(data) > c.req.MaxAnswer {
		return fmt.Errorf("answer of %d bytes, at most %d: %w", len(data), c.req.MaxAnswer, transport.ErrTooLong)
	}
	if c.answered.Swap(true) {
		return nil
	}
	select {
	case <-c.l.stopped:
		return fmt.Errorf("answer: %w", transport.ErrClosed)
	default:
	}
	select {
	case c.l.commands <- command{answer: &answer{ticket: c.req.Ticket, data: bytes.Clone(data)}}:
		return nil
	default:
		c.l.counts.answersDropped.Add(1)
		return errAnswerLost
	}
}

// AcceptCall implements transport.Transport.
func (t *Transport) AcceptCall(ctx context.Context) (transport.IncomingCall, error) {
	select {
	case c := <-t.calls.requests:
		return c, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("accept call: %w", ctx.Err())
	case <-t.ctx.Done():
		return nil, fmt.Errorf("accept call: %w", transport.ErrClosed)
	}
}
