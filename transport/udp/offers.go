package udp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// Limits of streams that peers want to open. Past any of them an offer is
// refused as busy and counted.
const (
	maxOffers           = 1024             // that Accept has not returned yet
	maxUndecided        = 4096             // without a decision, header awaited or not
	maxUndecidedPerPeer = 256              // of those, of one peer
	headerWait          = 5 * time.Second  // for the opening header
	decisionWait        = 10 * time.Second // for Accept or Refuse
)

var errDecided = errors.New("offer was decided before, or the dialer gave up")

// offer is a transport.Offer. Whoever turns pending off decides it.
type offer struct {
	t       *Transport
	c       *conn
	qs      *quic.Stream
	from    netip.AddrPort
	open    transport.Open
	pending atomic.Bool
	decided chan struct{}
}

// Peer implements transport.Offer.
func (o *offer) Peer() *identity.Peer { return o.c.peer }

// From implements transport.Offer.
func (o *offer) From() netip.AddrPort { return o.from }

// Open implements transport.Offer.
func (o *offer) Open() transport.Open { return o.open }

// Accept implements transport.Offer. Where the connection has no room for the
// answer it waits up to a second, then fails; the dialer asks again on another.
func (o *offer) Accept() (transport.Stream, error) {
	if !o.decide() {
		return nil, fmt.Errorf("accept stream of %s: %w", o.c.peer.ID, errDecided)
	}
	full := func() bool { return o.t.conns.shuns(o.c) }
	err := sendWhole(context.Background(), o.qs, []byte{answerAccept}, full) // ends with the connection
	if errors.Is(err, errClogged) {
		o.t.clog(o.c)
		o.abort(streamClogged)
		return nil, fmt.Errorf("accept stream of %s: %w", o.c.peer.ID, err)
	}
	if err != nil {
		o.abort(streamReset)
		return nil, fmt.Errorf("accept stream of %s: %w", o.c.peer.ID, streamError(err, false))
	}
	o.t.counts.streamsAccepted.Add(1)
	return o.t.stream(o.c, o.qs), nil
}

// Refuse implements transport.Offer.
func (o *offer) Refuse(reason transport.Reason, text string) error {
	if !o.decide() {
		return fmt.Errorf("refuse stream of %s: %w", o.c.peer.ID, errDecided)
	}
	o.refuse(reason, text)
	return nil
}

// decide reports whether the caller is the one to decide.
func (o *offer) decide() bool {
	if !o.pending.CompareAndSwap(true, false) {
		return false
	}
	o.t.conns.decided(o.c)
	close(o.decided)
	return true
}

func (o *offer) refuse(reason transport.Reason, text string) {
	refuse(o.qs, reason, text)
	o.t.conns.release(o.c, time.Now(), true)
}

func (o *offer) abort(code quic.StreamErrorCode) {
	abandon(o.qs, code)
	o.t.conns.release(o.c, time.Now(), false)
}

// refuse answers no on a stream and ends it. Without room for the answer it sends
// the dialer to another connection instead, so nothing blocks.
func refuse(qs *quic.Stream, reason transport.Reason, text string) {
	if errors.Is(qs.TryWriteAll(appendRefuse(nil, reason, text)), quic.ErrWouldBlock) {
		abandon(qs, streamClogged)
		return
	}
	_ = qs.Close()
	qs.CancelRead(streamClosed)
}

// abandon ends both directions of a stream.
func abandon(qs *quic.Stream, code quic.StreamErrorCode) {
	qs.CancelWrite(code)
	qs.CancelRead(code)
}

// Accept implements transport.Transport.
func (t *Transport) Accept(ctx context.Context) (transport.Offer, error) {
	for {
		select {
		case o := <-t.offers:
			if o.pending.Load() {
				return o, nil
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("accept stream: %w", ctx.Err())
		case <-t.ctx.Done():
			return nil, fmt.Errorf("accept stream: %w", transport.ErrClosed)
		}
	}
}

// serveConn takes the streams a peer opens until the connection ends. It is the
// owner of the connection's place in the table.
func (t *Transport) serveConn(c *conn) {
	defer t.conns.remove(c)
	for {
		qs, err := c.qc.AcceptStream(context.Background()) // ends with the connection
		if err != nil {
			return
		}
		if !t.conns.hold(c) {
			t.counts.offersBusy.Add(1)
			refuse(qs, transport.ReasonBusy, "too many offers")
			t.conns.release(c, time.Now(), true)
			continue
		}
		t.tasks.Go(func() { t.serveStream(c, qs) })
	}
}

// serveStream reads the header of one stream, offers it and sees to it that the
// offer ends: decided, timed out, or abandoned by the dialer.
func (t *Transport) serveStream(c *conn, qs *quic.Stream) {
	o := &offer{t: t, c: c, qs: qs, from: c.addr(), decided: make(chan struct{})}
	o.pending.Store(true)

	_ = qs.SetReadDeadline(time.Now().Add(headerWait))
	var err error
	if o.open, err = readOpen(qs); err != nil {
		t.counts.offersBadHeaders.Add(1)
		if o.decide() {
			abandon(qs, streamBadHeader)
			t.conns.release(c, time.Now(), false)
		}
		return
	}
	_ = qs.SetReadDeadline(time.Time{})

	select {
	case t.offers <- o:
	default:
		if o.decide() {
			t.counts.offersBusy.Add(1)
			o.refuse(transport.ReasonBusy, "too many offers")
		}
		return
	}
	t.awaitDecision(o)
}

// awaitDecision ends an offer that nobody decides.
func (t *Transport) awaitDecision(o *offer) {
	timer := time.NewTimer(decisionWait)
	defer timer.Stop()
	select {
	case <-o.decided:
	case <-timer.C:
		if o.decide() {
			t.counts.offersTimedOut.Add(1)
			o.refuse(transport.ReasonBusy, "nobody decided in time")
		}
	case <-o.qs.Context().Done(): // the dialer or the connection is gone
		if o.decide() {
			o.abort(streamReset)
		}
	}
}
