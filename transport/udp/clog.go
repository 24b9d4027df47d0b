package udp

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// All streams of a connection share its flow-control window. Streams that
// nobody reads keep their part of it, so enough of them leave nothing for
// others, not even for an opening header or its answer. Such a connection is
// clogged: it keeps its streams, but new ones go to another.
const (
	clogWait  = time.Second           // for a stream, and for room to send on it
	clogStep  = 10 * time.Millisecond // between two looks for room
	clogRetry = 10 * time.Second      // until a clogged connection is tried again
)

// errClogged: the connection has no room for another stream.
var errClogged = errors.New("connection is clogged")

// allClogged is what a dialer hears when no connection has room.
func allClogged() error {
	return &transport.RefusedError{Reason: transport.ReasonBusy, Text: "no connection has room for another stream"}
}

// openQUIC opens a stream, unless the peer allows no more for clogWait.
func openQUIC(ctx context.Context, c *conn) (*quic.Stream, error) {
	if ctx.Err() == nil {
		if qs, err := c.qc.OpenStream(); err == nil {
			return qs, nil
		}
	}
	soon, cancel := context.WithTimeout(ctx, clogWait)
	defer cancel()
	qs, err := c.qc.OpenStreamSync(soon)
	switch {
	case err == nil:
		return qs, nil
	case ctx.Err() == nil && soon.Err() != nil && errors.Is(err, soon.Err()):
		return nil, errClogged
	}
	return nil, openFailed(ctx, err)
}

// sendWhole queues b on a stream as soon as flow control lets all of it leave.
// Without room for clogWait, or once full reports that others found none, it is
// errClogged. Write would not tell: it keeps a short text and returns.
func sendWhole(ctx context.Context, qs *quic.Stream, b []byte, full func() bool) error {
	err := qs.TryWriteAll(b)
	if !errors.Is(err, quic.ErrWouldBlock) {
		return err
	}
	ticker := time.NewTicker(clogStep)
	defer ticker.Stop()
	for end := time.Now().Add(clogWait); errors.Is(err, quic.ErrWouldBlock); err = qs.TryWriteAll(b) {
		if full() || !time.Now().Before(end) {
			return errClogged
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// clog tells the table that a connection has no room.
func (t *Transport) clog(c *conn) {
	if t.conns.shun(c, time.Now().Add(clogRetry)) {
		t.counts.connsClogged.Add(1)
	}
}

// silence is how long a peer may take to acknowledge a header before its
// connection is shunned: long enough to send it again several times.
func silence(s quic.ConnectionStats) time.Duration {
	return max(clogWait, 4*(s.SmoothedRTT+4*s.MeanDeviation))
}

// unheard shuns a connection on which a header was sent at since and nothing at
// all has come back, so that the next dial does not wait for it too. It is not
// closed: that would end its streams, which may live through a short outage.
func (t *Transport) unheard(c *conn, received uint64, since time.Time) {
	stats := c.qc.ConnectionStats()
	if stats.PacketsReceived != received || time.Since(since) < silence(stats) {
		return
	}
	if t.conns.shun(c, time.Now().Add(clogRetry)) {
		t.counts.connsSilent.Add(1)
	}
}

// shun keeps new streams off a connection until a time, or until a stream on it
// ends. It reports whether they were not kept off before.
func (t *table) shun(c *conn, until time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := c.shunned.IsZero()
	c.shunned = until
	return first
}

// shuns reports whether a connection is to be left alone.
func (t *table) shuns(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !c.shunned.IsZero()
}

// beside returns where the newest live connection to a peer ends, if there is
// one, and whether there may be one more, perhaps in the place of an idle one.
func (t *table) beside(id identity.ID) (addr netip.AddrPort, room bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	live := 0
	for _, c := range t.peers[id] {
		if c.qc.Context().Err() == nil {
			live, addr = live+1, c.addr()
		}
	}
	return addr, live < maxPerPeer || longestIdle(nil, t.peers[id]) != nil
}
