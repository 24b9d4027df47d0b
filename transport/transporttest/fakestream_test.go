package transporttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

func (f *fake) Dial(ctx context.Context, to transport.Contact, open transport.Open) (transport.Stream, error) {
	switch {
	case to.ID.IsZero():
		return nil, transport.ErrNoID
	case open.Protocol == "":
		return nil, errors.New("fake: no protocol")
	case len(open.Protocol) > transport.MaxProtocol, len(open.Payload) > transport.MaxPayload:
		return nil, transport.ErrTooLong
	}
	if err := f.ready(ctx); err != nil {
		return nil, err
	}
	there, me, you := f.meet(to)
	if there == nil {
		_, err := waitEither[int](ctx, f, nil, nil, transport.ErrNoAnswer)
		return nil, err
	}
	there.note(me, f.at.Addr)
	f.note(you, there.at.Addr)
	open.Payload = bytes.Clone(open.Payload)
	offer := &fakeOffer{dialer: f, acceptor: there, me: me, you: you, open: open, outcome: make(chan dialed, 1)}
	select {
	case there.offers <- offer:
	default:
		return nil, &transport.RefusedError{Reason: transport.ReasonBusy}
	}
	out, err := waitEither(ctx, f, offer.outcome, there.done, &transport.RefusedError{Reason: transport.ReasonBusy})
	if err != nil {
		offer.giveUp()
		return nil, err
	}
	return out.Stream, out.err
}

type fakeOffer struct {
	dialer, acceptor *fake
	me, you          *identity.Peer // the dialer and the acceptor
	open             transport.Open
	outcome          chan dialed

	mu      sync.Mutex
	decided bool
}

func (o *fakeOffer) Peer() *identity.Peer { return o.me }
func (o *fakeOffer) From() netip.AddrPort { return o.dialer.at.Addr }
func (o *fakeOffer) Open() transport.Open { return o.open }

// decide reports whether nobody had decided yet.
func (o *fakeOffer) decide() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.decided
	o.decided = true
	return !was
}

func (o *fakeOffer) giveUp() {
	if !o.decide() {
		if out := <-o.outcome; out.Stream != nil {
			out.Stream.Reset()
		}
	}
}

func (o *fakeOffer) Accept() (transport.Stream, error) {
	if o.acceptor.isClosed() || !o.decide() {
		return nil, errors.New("fake: the offer is over")
	}
	out, in := newHalf(), newHalf()
	dialer := &fakeStream{in: in, out: out, peer: o.you, here: o.dialer.at, there: o.acceptor.at}
	acceptor := &fakeStream{in: out, out: in, peer: o.me, here: o.acceptor.at, there: o.dialer.at}
	o.dialer.adopt(dialer)
	o.acceptor.adopt(acceptor)
	o.outcome <- dialed{Stream: dialer}
	return acceptor, nil
}

func (o *fakeOffer) Refuse(reason transport.Reason, text string) error {
	if o.decide() {
		o.outcome <- dialed{err: &transport.RefusedError{Reason: reason, Text: text[:min(len(text), 200)]}}
	}
	return nil
}

// half is one direction of a stream: a bounded buffer.
type half struct {
	mu       sync.Mutex
	changed  *sync.Cond
	buf      []byte
	rerr     error // what reads say, before the buffer
	werr     error // what writes say
	eof      bool
	rdl, wdl time.Time
	timers   [2]*time.Timer
}

const halfSize = 64 << 10

func newHalf() *half {
	h := &half{}
	h.changed = sync.NewCond(&h.mu)
	return h
}

func past(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.rerr != nil:
			return 0, h.rerr
		case past(h.rdl):
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0:
			n := copy(b, h.buf)
			h.buf = h.buf[n:]
			h.changed.Broadcast()
			return n, nil
		case h.eof:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

func (h *half) write(b []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.werr != nil:
			return n, h.werr
		case past(h.wdl):
			return n, os.ErrDeadlineExceeded
		case len(b) == 0:
			return n, nil
		}
		if free := min(halfSize-len(h.buf), len(b)); free > 0 {
			h.buf = append(h.buf, b[:free]...)
			b, n = b[free:], n+free
			h.changed.Broadcast()
			continue
		}
		h.changed.Wait()
	}
}

// end makes reads and writes fail, each if it is given an error and has none.
func (h *half) end(reads, writes error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rerr == nil {
		h.rerr = reads
	}
	if h.werr == nil {
		h.werr = writes
	}
	h.changed.Broadcast()
}

func (h *half) finish(writes error) {
	h.mu.Lock()
	h.eof = true
	h.mu.Unlock()
	h.end(nil, writes)
}

// setDeadline of reads (0) or writes (1).
func (h *half) setDeadline(which int, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*[2]*time.Time{&h.rdl, &h.wdl}[which] = t
	if old := h.timers[which]; old != nil {
		old.Stop()
	}
	if !t.IsZero() {
		h.timers[which] = time.AfterFunc(time.Until(t), h.changed.Broadcast)
	}
	h.changed.Broadcast()
}

type fakeStream struct {
	in, out     *half
	peer        *identity.Peer
	here, there transport.Contact
}

func (s *fakeStream) Read(b []byte) (int, error)         { return s.in.read(b) }
func (s *fakeStream) Write(b []byte) (int, error)        { return s.out.write(b) }
func (s *fakeStream) LocalAddr() net.Addr                { return transport.Addr(s.here) }
func (s *fakeStream) RemoteAddr() net.Addr               { return transport.Addr(s.there) }
func (s *fakeStream) Peer() *identity.Peer               { return s.peer }
func (s *fakeStream) SetReadDeadline(t time.Time) error  { s.in.setDeadline(0, t); return nil }
func (s *fakeStream) SetWriteDeadline(t time.Time) error { s.out.setDeadline(1, t); return nil }

func (s *fakeStream) SetDeadline(t time.Time) error {
	s.in.setDeadline(0, t)
	s.out.setDeadline(1, t)
	return nil
}

func (s *fakeStream) CloseWrite() error {
	s.out.finish(errors.New("fake: write after CloseWrite"))
	return nil
}

func (s *fakeStream) Close() error {
	s.out.finish(net.ErrClosed)
	s.in.end(net.ErrClosed, transport.ErrReset)
	return nil
}

func (s *fakeStream) Reset() {
	s.out.end(transport.ErrReset, net.ErrClosed)
	s.in.end(net.ErrClosed, transport.ErrReset)
}
