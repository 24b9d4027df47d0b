package transporttest

import (
	"context"
	"net"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// bent is a transport with some methods replaced.
type bent struct {
	transport.Transport
	call       func(context.Context, transport.Contact, transport.Request) (transport.Answer, error)
	acceptCall func(context.Context) (transport.IncomingCall, error)
	dial       func(context.Context, transport.Contact, transport.Open) (transport.Stream, error)
	accept     func(context.Context) (transport.Offer, error)
	local      func() transport.Contact
	close      func() error
}

// bend returns inner with nothing replaced yet.
func bend(inner transport.Transport) *bent {
	return &bent{
		Transport: inner, call: inner.Call, acceptCall: inner.AcceptCall, dial: inner.Dial,
		accept: inner.Accept, local: inner.Local, close: inner.Close,
	}
}

func (b *bent) Call(ctx context.Context, to transport.Contact, req transport.Request) (transport.Answer, error) {
	return b.call(ctx, to, req)
}

func (b *bent) AcceptCall(ctx context.Context) (transport.IncomingCall, error) {
	return b.acceptCall(ctx)
}

func (b *bent) Dial(ctx context.Context, to transport.Contact, open transport.Open) (transport.Stream, error) {
	return b.dial(ctx, to, open)
}

func (b *bent) Accept(ctx context.Context) (transport.Offer, error) { return b.accept(ctx) }
func (b *bent) Local() transport.Contact                            { return b.local() }
func (b *bent) Close() error                                        { return b.close() }

// bentCall is an incoming call with some methods replaced; nil ones are not.
type bentCall struct {
	transport.IncomingCall
	early  func() bool
	answer func([]byte) error
}

func (c bentCall) Early() bool {
	if c.early != nil {
		return c.early()
	}
	return c.IncomingCall.Early()
}

func (c bentCall) Answer(data []byte) error {
	if c.answer != nil {
		return c.answer(data)
	}
	return c.IncomingCall.Answer(data)
}

// bentOffer is an offer with some methods replaced; nil ones are not.
type bentOffer struct {
	transport.Offer
	accept func() (transport.Stream, error)
	refuse func(transport.Reason, string) error
}

func (o bentOffer) Accept() (transport.Stream, error) {
	if o.accept != nil {
		return o.accept()
	}
	return o.Offer.Accept()
}

func (o bentOffer) Refuse(reason transport.Reason, text string) error {
	if o.refuse != nil {
		return o.refuse(reason, text)
	}
	return o.Offer.Refuse(reason, text)
}

// bentStream is a stream with some methods replaced; nil ones are not.
type bentStream struct {
	transport.Stream
	write       func([]byte) (int, error)
	closeWrite  func() error
	close       func() error
	reset       func()
	peer        func() *identity.Peer
	remote      func() net.Addr
	setDeadline func(time.Time) error // all three of them
}

func (s bentStream) Write(b []byte) (int, error) {
	if s.write != nil {
		return s.write(b)
	}
	return s.Stream.Write(b)
}

func (s bentStream) CloseWrite() error {
	if s.closeWrite != nil {
		return s.closeWrite()
	}
	return s.Stream.CloseWrite()
}

func (s bentStream) Close() error {
	if s.close != nil {
		return s.close()
	}
	return s.Stream.Close()
}

func (s bentStream) Reset() {
	if s.reset != nil {
		s.reset()
		return
	}
	s.Stream.Reset()
}

func (s bentStream) Peer() *identity.Peer {
	if s.peer != nil {
		return s.peer()
	}
	return s.Stream.Peer()
}

func (s bentStream) RemoteAddr() net.Addr {
	if s.remote != nil {
		return s.remote()
	}
	return s.Stream.RemoteAddr()
}

func (s bentStream) SetDeadline(t time.Time) error {
	if s.setDeadline != nil {
		return s.setDeadline(t)
	}
	return s.Stream.SetDeadline(t)
}

func (s bentStream) SetReadDeadline(t time.Time) error {
	if s.setDeadline != nil {
		return s.setDeadline(t)
	}
	return s.Stream.SetReadDeadline(t)
}

func (s bentStream) SetWriteDeadline(t time.Time) error {
	if s.setDeadline != nil {
		return s.setDeadline(t)
	}
	return s.Stream.SetWriteDeadline(t)
}

// bendAnswers replaces what a call returns.
func bendAnswers(f func(*bent, transport.Answer, error) (transport.Answer, error)) bender {
	return func(b *bent) {
		b.call = func(ctx context.Context, to transport.Contact, req transport.Request) (transport.Answer, error) {
			answer, err := b.Transport.Call(ctx, to, req)
			return f(b, answer, err)
		}
	}
}

// bendCalls replaces incoming calls.
func bendCalls(f func(transport.IncomingCall) bentCall) bender {
	return func(b *bent) {
		b.acceptCall = func(ctx context.Context) (transport.IncomingCall, error) {
			in, err := b.Transport.AcceptCall(ctx)
			if err != nil {
				return nil, err
			}
			return f(in), nil
		}
	}
}

// bendDials replaces what is dialed.
func bendDials(f func(context.Context, *transport.Contact, *transport.Open) context.Context) bender {
	return func(b *bent) {
		b.dial = func(ctx context.Context, to transport.Contact, open transport.Open) (transport.Stream, error) {
			ctx = f(ctx, &to, &open)
			return b.Transport.Dial(ctx, to, open)
		}
	}
}

// bendDialErrors replaces errors of dials.
func bendDialErrors(f func(error) error) bender {
	return func(b *bent) {
		b.dial = func(ctx context.Context, to transport.Contact, open transport.Open) (transport.Stream, error) {
			s, err := b.Transport.Dial(ctx, to, open)
			if err != nil {
				return nil, f(err)
			}
			return s, nil
		}
	}
}

// bendOffers replaces incoming offers.
func bendOffers(f func(*bent, transport.Offer) bentOffer) bender {
	return func(b *bent) {
		b.accept = func(ctx context.Context) (transport.Offer, error) {
			offer, err := b.Transport.Accept(ctx)
			if err != nil {
				return nil, err
			}
			return f(b, offer), nil
		}
	}
}

// bendStreams replaces both ends of streams.
func bendStreams(f func(transport.Stream) bentStream) bender {
	return func(b *bent) {
		b.dial = func(ctx context.Context, to transport.Contact, open transport.Open) (transport.Stream, error) {
			s, err := b.Transport.Dial(ctx, to, open)
			if err != nil {
				return nil, err
			}
			return f(s), nil
		}
		bendOffers(func(_ *bent, o transport.Offer) bentOffer {
			return bentOffer{Offer: o, accept: func() (transport.Stream, error) {
				s, err := o.Accept()
				if err != nil {
					return nil, err
				}
				return f(s), nil
			}}
		})(b)
	}
}

type bender func(*bent)
