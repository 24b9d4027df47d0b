package udp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/staex-mcc/mcc/transport"
)

// errStale: the connection had ended before the stream could reach anybody.
var errStale = errors.New("connection had ended")

// openStream asks for a stream on a connection and waits for the answer. It
// gives back the count the connection came with, unless the stream is opened.
func (t *Transport) openStream(ctx context.Context, c *conn, open transport.Open) (*stream, error) {
	s, err := t.askInTurn(ctx, c, open)
	if err != nil {
		t.conns.release(c, time.Now(), false)
	}
	return s, err
}

// askInTurn keeps the number of undecided streams below what the peer allows.
func (t *Transport) askInTurn(ctx context.Context, c *conn, open transport.Open) (*stream, error) {
	waited, err := t.turns.take(ctx, c.peer.ID)
	if waited {
		t.counts.dialsQueued.Add(1)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &transport.RefusedError{Reason: transport.ReasonBusy, Text: "the peer decides too slowly"}
	}
	if err != nil {
		return nil, err
	}
	defer t.turns.give(c.peer.ID)
	if t.conns.shuns(c) { // found out by those before
		return nil, errClogged
	}
	return t.ask(ctx, c, open)
}

func (t *Transport) ask(ctx context.Context, c *conn, open transport.Open) (*stream, error) {
	if open.Admit != nil {
		if err := open.Admit(c.peer); err != nil {
			return nil, err
		}
	}
	qs, err := openQUIC(ctx, c)
	if err != nil {
		return nil, err
	}
	header := make([]byte, 0, 4+len(open.Protocol)+len(open.Payload))
	received, since := c.qc.ConnectionStats().PacketsReceived, time.Now()
	if err := sendWhole(ctx, qs, appendOpen(header, open), func() bool { return t.conns.shuns(c) }); err != nil {
		abandon(qs, streamAbandoned)
		return nil, headerFailed(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = qs.SetReadDeadline(past) })
	err = readAnswer(qs)
	if !stop() {
		abandon(qs, streamAbandoned)
		t.unheard(c, received, since)
		return nil, ctx.Err()
	}
	if err == nil {
		return t.stream(c, qs), nil
	}
	abandon(qs, streamClosed)
	return nil, noStream(err)
}

// headerFailed says why the header did not leave.
func headerFailed(ctx context.Context, err error) error {
	if errors.Is(err, errClogged) || ctx.Err() != nil {
		return err
	}
	return noStream(err)
}

// noStream says what came instead of ACCEPT.
func noStream(err error) error {
	if _, refused := errors.AsType[*transport.RefusedError](err); refused {
		return err
	}
	if se, ok := errors.AsType[*quic.StreamError](err); ok && se.Remote && se.ErrorCode == streamClogged {
		return errClogged
	}
	if stale(err) {
		return fmt.Errorf("%w: %w", errStale, answerFailed(err))
	}
	return answerFailed(err)
}

// openFailed says why the connection gave no stream. Nothing has left this node,
// so whatever ended the connection, another one may be asked.
func openFailed(ctx context.Context, err error) error {
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		return &transport.RefusedError{Reason: transport.ReasonBusy, Text: "too many open streams"}
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", errStale, answerFailed(err))
}

// answerFailed says why there was no answer: a peer that refuses this node's
// certificate shows it only now, since the dialer's side of TLS 1.3 ends first.
func answerFailed(err error) error {
	if errors.Is(err, errBadAnswer) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w that makes sense: %w", transport.ErrNoAnswer, err)
	}
	err = streamError(err, false)
	if errors.Is(err, transport.ErrPathLost) {
		return fmt.Errorf("%w: %w", transport.ErrNoAnswer, err)
	}
	return err
}
