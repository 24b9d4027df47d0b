package transporttest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// broken are transports that each break one promise, and the check that must
// notice. Every check has at least one.
var broken = []struct {
	name, check string
	bend        bender
}{
	{"local is nobody", "Call/Local", func(b *bent) {
		b.local = func() transport.Contact { return transport.Contact{Addr: b.Transport.Local().Addr} }
	}},
	{"leaks a goroutine", "Call/Local", func(*bent) {
		go func() { select {} }()
	}},
	{"answer names the caller", "Call/RoundTrip", bendAnswers(func(b *bent, a transport.Answer, err error) (transport.Answer, error) {
		a.Peer = identity.OpenPeer(b.Transport.Local().ID, "alice")
		return a, err
	})},
	{"answer observes nothing", "Call/RoundTrip", bendAnswers(func(_ *bent, a transport.Answer, err error) (transport.Answer, error) {
		a.Observed = netip.AddrPort{}
		return a, err
	})},
	{"answer took a day", "Call/RoundTrip", bendAnswers(func(_ *bent, a transport.Answer, err error) (transport.Answer, error) {
		a.RTT = 24 * time.Hour
		return a, err
	})},
	{"everything is early", "Call/RoundTrip", bendCalls(func(in transport.IncomingCall) bentCall {
		return bentCall{IncomingCall: in, early: func() bool { return true }}
	})},
	{"calls need an id", "Call/UnknownID", func(b *bent) {
		b.call = func(ctx context.Context, to transport.Contact, req transport.Request) (transport.Answer, error) {
			if to.ID.IsZero() {
				return transport.Answer{}, transport.ErrNoID
			}
			return b.Transport.Call(ctx, to, req)
		}
	}},
	{"idempotent is early", "Call/Early", bendCalls(func(in transport.IncomingCall) bentCall {
		return bentCall{IncomingCall: in, early: func() bool { return true }}
	})},
	{"early answers are cut", "Call/Early", bendCalls(cutAnswers)},
	{"requests are cut", "Call/RequestSizes", func(b *bent) {
		b.call = func(ctx context.Context, to transport.Contact, req transport.Request) (transport.Answer, error) {
			req.Data = req.Data[:min(len(req.Data), transport.MaxRequest)]
			return b.Transport.Call(ctx, to, req)
		}
	}},
	{"long requests are early", "Call/RequestSizes", bendCalls(func(in transport.IncomingCall) bentCall {
		return bentCall{IncomingCall: in, early: func() bool { return len(in.Data()) > transport.MaxEarlyRequest }}
	})},
	{"answers are cut", "Call/AnswerSizes", bendCalls(cutAnswers)},
	{"answers are kept", "Call/AnswerSizes", bendCalls(func(in transport.IncomingCall) bentCall {
		return bentCall{IncomingCall: in, answer: func(data []byte) error {
			if len(data) > in.MaxAnswer() {
				return transport.ErrTooLong
			}
			time.AfterFunc(50*time.Millisecond, func() { in.Answer(data) })
			return nil
		}}
	})},
	{"last answer counts", "Call/FirstAnswerCounts", bendCalls(func(in transport.IncomingCall) bentCall {
		var mu sync.Mutex
		var last []byte
		return bentCall{IncomingCall: in, answer: func(data []byte) error {
			mu.Lock()
			defer mu.Unlock()
			last = bytes.Clone(data)
			time.AfterFunc(50*time.Millisecond, func() {
				mu.Lock()
				defer mu.Unlock()
				in.Answer(last)
			})
			return nil
		}}
	})},
	{"requests come twice", "Call/AtMostOnce", func(b *bent) {
		again := make(chan transport.IncomingCall, 1)
		b.acceptCall = func(ctx context.Context) (transport.IncomingCall, error) {
			select {
			case in := <-again:
				return in, nil
			default:
			}
			in, err := b.Transport.AcceptCall(ctx)
			if err == nil {
				again <- in
			}
			return in, err
		}
	}},
	{"call ignores ctx", "Call/Cancel", func(b *bent) {
		b.call = func(ctx context.Context, to transport.Contact, req transport.Request) (transport.Answer, error) {
			return b.Transport.Call(context.WithoutCancel(ctx), to, req)
		}
	}},
	{"accept ignores ctx", "Call/AcceptCancel", func(b *bent) {
		b.accept = func(ctx context.Context) (transport.Offer, error) {
			return b.Transport.Accept(context.WithoutCancel(ctx))
		}
	}},
	{"answers are swapped", "Call/ManyInFlight", swapAnswers},
	{"one call at a time", "Call/ManyInFlight", func(b *bent) {
		turn := make(chan struct{}, 1)
		b.call = func(ctx context.Context, to transport.Contact, req transport.Request) (transport.Answer, error) {
			turn <- struct{}{}
			defer func() { <-turn }()
			return b.Transport.Call(ctx, to, req)
		}
	}},
	{"deaf while calling", "Call/Crossing", deafWhileCalling},

	{"payload is lost", "Stream/DialAccept", bendDials(func(ctx context.Context, _ *transport.Contact, open *transport.Open) context.Context {
		open.Payload = nil
		return ctx
	})},
	{"addresses are plain", "Stream/DialAccept", bendStreams(func(s transport.Stream) bentStream {
		return bentStream{Stream: s, remote: func() net.Addr { return &net.UDPAddr{} }}
	})},
	{"streams name nobody", "Stream/DialAccept", bendStreams(func(s transport.Stream) bentStream {
		return bentStream{Stream: s, peer: func() *identity.Peer { return nil }}
	})},
	{"always busy", "Stream/Refuse", bendOffers(func(_ *bent, o transport.Offer) bentOffer {
		return bentOffer{Offer: o, refuse: func(_ transport.Reason, text string) error {
			return o.Refuse(transport.ReasonBusy, text)
		}}
	})},
	{"refusals are no *RefusedError", "Stream/Refuse", bendDialErrors(func(err error) error { return errors.New(err.Error()) })},
	{"headers are cut", "Stream/Header", bendDials(func(ctx context.Context, _ *transport.Contact, open *transport.Open) context.Context {
		open.Protocol = open.Protocol[:min(len(open.Protocol), transport.MaxProtocol)]
		open.Payload = open.Payload[:min(len(open.Payload), transport.MaxPayload)]
		return ctx
	})},
	{"header limits are tight", "Stream/Header", bendDials(func(ctx context.Context, _ *transport.Contact, open *transport.Open) context.Context {
		if len(open.Payload) == transport.MaxPayload {
			open.Payload = make([]byte, transport.MaxPayload+1)
		}
		return ctx
	})},
	{"dials anybody", "Stream/NoID", func(b *bent) {
		b.dial = func(ctx context.Context, to transport.Contact, open transport.Open) (transport.Stream, error) {
			return b.Transport.Dial(ctx, knownAt(b, to), open)
		}
	}},
	{"dial ignores ctx", "Stream/Cancel", bendDials(func(ctx context.Context, _ *transport.Contact, _ *transport.Open) context.Context {
		return context.WithoutCancel(ctx)
	})},
	{"half-close closes", "Stream/HalfClose", bendStreams(func(s transport.Stream) bentStream {
		return bentStream{Stream: s, closeWrite: s.Close}
	})},
	{"close drops", "Stream/CloseDelivers", bendStreams(func(s transport.Stream) bentStream {
		return bentStream{Stream: s, close: func() error { s.Reset(); return nil }}
	})},
	{"close leaves the writer", "Stream/CloseUnread", bendStreams(func(s transport.Stream) bentStream {
		return bentStream{Stream: s, close: s.CloseWrite}
	})},
	{"close leaves the reader", "Stream/CloseOwn", bendStreams(func(s transport.Stream) bentStream {
		return bentStream{Stream: s, close: s.CloseWrite}
	})},
	{"reset looks complete", "Stream/Reset", bendStreams(func(s transport.Stream) bentStream {
		return bentStream{Stream: s, reset: func() { s.Close() }}
	})},
	{"no deadlines", "Stream/Deadlines", bendStreams(func(s transport.Stream) bentStream {
		return bentStream{Stream: s, setDeadline: func(time.Time) error { return nil }}
	})},
	{"unbounded writes", "Stream/Backpressure", bendStreams(spool)},
	{"flips a bit", "Stream/Bulk", bendStreams(func(s transport.Stream) bentStream {
		sent := 0
		return bentStream{Stream: s, write: func(b []byte) (int, error) {
			b = bytes.Clone(b)
			if i := 700_000 - sent; i >= 0 && i < len(b) {
				b[i] ^= 1
			}
			sent += len(b)
			return s.Write(b)
		}}
	})},
	{"twenty streams", "Stream/Many", func(b *bent) {
		var mu sync.Mutex
		count := 0
		b.dial = func(ctx context.Context, to transport.Contact, open transport.Open) (transport.Stream, error) {
			mu.Lock()
			count++
			full := count > 20
			mu.Unlock()
			if full {
				return nil, &transport.RefusedError{Reason: transport.ReasonBusy}
			}
			return b.Transport.Dial(ctx, to, open)
		}
	}},

	{"no consortium", "Trust/SameCA", bendAnswers(func(_ *bent, a transport.Answer, err error) (transport.Answer, error) {
		a.Peer = identity.OpenPeer(a.Peer.ID, a.Peer.Label)
		return a, err
	})},
	{"one CA only", "Trust/SeveralCAs", bendAnswers(func(_ *bent, a transport.Answer, err error) (transport.Answer, error) {
		if err == nil && a.Peer.Consortium == "other" {
			return transport.Answer{}, transport.ErrUntrusted
		}
		return a, err
	})},
	{"everybody may relay", "Trust/OpenMesh", bendStreams(func(s transport.Stream) bentStream {
		return bentStream{Stream: s, peer: func() *identity.Peer {
			p := *s.Peer()
			p.Permissions = identity.Permissions{"all"}
			return &p
		}}
	})},
	{"trusts everybody", "Wait/StrangerForeignCA", blindTrust},
	{"trusts everybody", "Wait/StrangerSameName", blindTrust},
	{"trusts everybody", "Wait/StrangerExpired", blindTrust},
	{"trusts everybody", "Wait/StrangerSelfSigned", blindTrust},
	{"hears strangers out", "Wait/StrangerSelfSigned", unchecked},

	{"second close fails", "Close/Idempotent", func(b *bent) {
		var mu sync.Mutex
		closed := false
		b.close = func() error {
			mu.Lock()
			defer mu.Unlock()
			if closed {
				return transport.ErrClosed
			}
			closed = true
			return b.Transport.Close()
		}
	}},
	{"accept outlives close", "Close/Unblocks", func(b *bent) {
		b.accept = func(ctx context.Context) (transport.Offer, error) {
			o, err := b.Transport.Accept(ctx)
			if errors.Is(err, transport.ErrClosed) {
				<-ctx.Done()
			}
			return o, err
		}
	}},
	{"close means nobody", "Close/Afterwards", bendAnswers(func(_ *bent, a transport.Answer, err error) (transport.Answer, error) {
		if errors.Is(err, transport.ErrClosed) {
			err = transport.ErrNoAnswer
		}
		return a, err
	})},
	{"close looks complete", "Close/PeersNotice", closeStreamsFirst},
	{"close waits for decisions", "Close/Undecided", func(b *bent) {
		var undecided sync.WaitGroup
		bendOffers(func(_ *bent, o transport.Offer) bentOffer {
			undecided.Add(1)
			return bentOffer{Offer: o, accept: func() (transport.Stream, error) {
				defer undecided.Done()
				return o.Accept()
			}}
		})(b)
		b.close = func() error { undecided.Wait(); return b.Transport.Close() }
	}},

	{"call for ever", "Wait/CallUnanswered", func(b *bent) {
		b.call = func(ctx context.Context, to transport.Contact, req transport.Request) (transport.Answer, error) {
			for {
				a, err := b.Transport.Call(ctx, to, req)
				if !errors.Is(err, transport.ErrNoAnswer) {
					return a, err
				}
			}
		}
	}},
	{"nobody is closed", "Wait/CallNobody", bendAnswers(func(_ *bent, a transport.Answer, err error) (transport.Answer, error) {
		if err != nil {
			err = transport.ErrClosed
		}
		return a, err
	})},
	{"calls whoever is there", "Wait/CallWrongID", func(b *bent) {
		b.call = func(ctx context.Context, to transport.Contact, req transport.Request) (transport.Answer, error) {
			return b.Transport.Call(ctx, transport.Contact{Addr: to.Addr}, req)
		}
	}},
	{"dials whoever is there", "Wait/DialWrongID", func(b *bent) {
		b.dial = func(ctx context.Context, to transport.Contact, open transport.Open) (transport.Stream, error) {
			return b.Transport.Dial(ctx, knownAt(b, transport.Contact{Addr: to.Addr}), open)
		}
	}},
	{"nobody refuses", "Wait/DialNobody", bendDialErrors(func(error) error {
		return &transport.RefusedError{Reason: transport.ReasonUnavailable}
	})},
	{"ignored is no answer", "Wait/OfferIgnored", bendDialErrors(func(error) error { return transport.ErrNoAnswer })},

	{"no peers", "Ability/PeerLister", nil},
	{"odd counters", "Ability/Counters", nil},
}
