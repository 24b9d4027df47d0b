package transporttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/staex-mcc/mcc/transport"
)

var streamChecks = []check{
	{"DialAccept", streamDialAccept},
	{"Refuse", streamRefuse},
	{"Header", streamHeader},
	{"NoID", streamNoID},
	{"Cancel", streamCancel},
	{"HalfClose", streamHalfClose},
	{"CloseDelivers", streamCloseDelivers},
	{"CloseUnread", streamCloseUnread},
	{"CloseOwn", streamCloseOwn},
	{"Reset", streamReset},
	{"Deadlines", streamDeadlines},
	{"Backpressure", streamBackpressure},
	{"Bulk", streamBulk},
	{"Many", streamMany},
}

// dialed is what a dial came to.
type dialed struct {
	transport.Stream
	err error
}

// dial starts a dial.
func (n *node) dial(to transport.Contact, open transport.Open) <-chan dialed {
	return background(n.rig, func() dialed {
		ctx, cancel := n.rig.ctx()
		defer cancel()
		stream, err := n.Dial(ctx, to, open)
		return dialed{stream, err}
	})
}

// offered returns the next offer.
func (n *node) offered() transport.Offer {
	n.rig.Helper()
	ctx, cancel := n.rig.ctx()
	defer cancel()
	offer, err := n.Accept(ctx)
	n.rig.must(n.name+" accepts an offer", err)
	return offer
}

// connected returns the stream of a dial, which must have worked.
func (r *rig) connected(pending <-chan dialed) transport.Stream {
	r.Helper()
	out := wait(r, "the outcome of a dial", pending)
	r.must("dial", out.err)
	return r.guarded(out.Stream)
}

// guarded gives a stream a deadline, so that nothing hangs, and an end.
func (r *rig) guarded(s transport.Stream) transport.Stream {
	r.Helper()
	r.must("set deadline", s.SetDeadline(time.Now().Add(3*r.patience)))
	r.Cleanup(func() { s.Close() })
	return s
}

// stream opens a stream from one node to another and returns both ends.
func (r *rig) stream(from, to *node) (dialer, acceptor transport.Stream) {
	r.Helper()
	pending := from.dial(to.at(), transport.Open{Protocol: "test"})
	accepted, err := to.offered().Accept()
	r.must("accept", err)
	return r.connected(pending), r.guarded(accepted)
}

// bothWays runs f twice, on a fresh stream each, with the ends swapped.
func (r *rig) bothWays(f func(what string, x, y transport.Stream)) {
	r.Helper()
	alice, bob := r.pairOf()
	dialer, acceptor := r.stream(alice, bob)
	f("the dialer", dialer, acceptor)
	dialer, acceptor = r.stream(alice, bob)
	f("the acceptor", acceptor, dialer)
}

func streamDialAccept(r *rig) {
	alice, bob := r.pairOf()
	open := transport.Open{Protocol: "files/1", Payload: []byte("first words")}
	pending := alice.dial(bob.at(), open)
	offer := bob.offered()
	alice.checkPeer("Offer.Peer", offer.Peer())
	if offer.From().Addr() != alice.at().Addr.Addr() {
		r.Errorf("the offer is from %s, want the host of %s", offer.From(), alice.at().Addr)
	}
	if got := offer.Open(); got.Protocol != open.Protocol {
		r.Errorf("the offer's protocol is %q", got.Protocol)
	} else {
		r.equal("the offer's payload", got.Payload, open.Payload)
	}
	accepted, err := offer.Accept()
	r.must("accept", err)
	theirs, own := r.guarded(accepted), r.connected(pending)
	bob.checkPeer("the dialer's Stream.Peer", own.Peer())
	alice.checkPeer("the acceptor's Stream.Peer", theirs.Peer())
	checkAddrs(r, own, alice, bob)
	checkAddrs(r, theirs, bob, alice)
	for range 3 { // back and forth, then on the next one
		exchange(r, own, theirs, "ping")
		exchange(r, theirs, own, "pong")
	}
}

// checkAddrs checks the addresses of a stream from here to there.
func checkAddrs(r *rig, s transport.Stream, here, there *node) {
	r.Helper()
	for what, tt := range map[string]struct {
		got  net.Addr
		want *node
	}{"local": {s.LocalAddr(), here}, "remote": {s.RemoteAddr(), there}} {
		got, ok := tt.got.(transport.Addr)
		if !ok {
			r.Errorf("the %s address is a %T, want a transport.Addr", what, tt.got)
		} else if got.ID != tt.want.self.ID() {
			r.Errorf("the %s address is %s, want one of %s", what, got, tt.want.self.ID())
		}
	}
}

func exchange(r *rig, from, to net.Conn, text string) {
	r.Helper()
	n, err := from.Write([]byte(text))
	if err != nil || n != len(text) {
		r.Fatalf("write %q: %d, %v", text, n, err)
	}
	r.equal("read", readFull(r, to, len(text)), []byte(text))
}

func streamRefuse(r *rig) {
	alice, bob := r.pairOf()
	for _, tt := range []transport.RefusedError{
		{Reason: transport.ReasonNotFound},
		{Reason: transport.ReasonDenied, Text: `needs "call:files"`},
		{Reason: transport.ReasonBusy, Text: strings.Repeat("b", 200)},
		{Reason: transport.ReasonUnavailable, Text: strings.Repeat("u", 300)},
	} {
		pending := alice.dial(bob.at(), transport.Open{Protocol: "p"})
		r.must("refuse", bob.offered().Refuse(tt.Reason, tt.Text))
		out := wait(r, "a dial that is refused", pending)
		refused := expectRefused(r, "a dial that is refused", out.err, tt.Reason)
		if want := tt.Text[:min(len(tt.Text), 200)]; refused.Text != want {
			r.Errorf("the refusal says %q, want %q", refused.Text, want)
		}
		if out.Stream != nil {
			r.Error("a refused dial returned a stream")
		}
	}
	// A refusal ends nothing else.
	dialer, acceptor := r.stream(alice, bob)
	exchange(r, dialer, acceptor, "after a refusal")
}

// expectRefused reports an error that is no refusal for the reason, and returns
// the refusal.
func expectRefused(r *rig, what string, err error, reason transport.Reason) transport.RefusedError {
	r.Helper()
	refused, ok := errors.AsType[*transport.RefusedError](err)
	if !ok {
		r.Errorf("%s: got error %v, want a *RefusedError", what, err)
		return transport.RefusedError{}
	}
	if refused.Reason != reason {
		r.Errorf("%s: refused as %s, want %s", what, refused.Reason, reason)
	}
	return *refused
}

func streamHeader(r *rig) {
	alice, bob := r.pairOf()
	long := strings.Repeat("p", transport.MaxProtocol)
	for _, open := range []transport.Open{
		{Protocol: "p"},
		{Protocol: "\x00\xff", Payload: []byte{0}},
		{Protocol: long, Payload: pattern(transport.MaxPayload, 1)},
	} {
		pending := alice.dial(bob.at(), open)
		offer := bob.offered()
		if got := offer.Open(); got.Protocol != open.Protocol {
			r.Errorf("protocol %q arrived as %q", open.Protocol, got.Protocol)
		} else {
			r.equal("the payload", got.Payload, open.Payload)
		}
		accepted, err := offer.Accept()
		r.must("accept", err)
		exchange(r, r.connected(pending), r.guarded(accepted), "payload is not stream data")
	}
	for name, bad := range map[string]transport.Open{
		"a protocol over MaxProtocol": {Protocol: long + "p"},
		"a payload over MaxPayload":   {Protocol: "p", Payload: make([]byte, transport.MaxPayload+1)},
	} {
		r.expect(name, wait(r, name, alice.dial(bob.at(), bad)).err, transport.ErrTooLong)
	}
	if out := wait(r, "no protocol", alice.dial(bob.at(), transport.Open{})); out.err == nil {
		r.Error("a stream without a protocol was opened")
	}
	alice.dial(bob.at(), transport.Open{Protocol: "marker"})
	offer := bob.offered()
	if got := offer.Open().Protocol; got != "marker" {
		r.Errorf("protocol %.20q was offered", got)
	}
	offer.Refuse(transport.ReasonNotFound, "")
}

func streamNoID(r *rig) {
	alice, bob := r.pairOf()
	out := wait(r, "a dial without id", alice.dial(transport.Contact{Addr: bob.at().Addr}, transport.Open{Protocol: "p"}))
	r.expect("a dial without id", out.err, transport.ErrNoID)
}

// streamCancel ends the context of a dial whose offer is undecided.
func streamCancel(r *rig) {
	alice, bob := r.pairOf()
	for _, decide := range []func(transport.Offer){
		func(o transport.Offer) {
			if s, err := o.Accept(); err == nil {
				// The dialer is gone: the stream is no use, and says so.
				s := r.guarded(s)
				if _, err := s.Read(make([]byte, 1)); err == nil || isTimeout(err) {
					r.Errorf("read from a stream whose dialer gave up: %v", err)
				}
			}
		},
		func(o transport.Offer) { o.Refuse(transport.ReasonBusy, "") },
	} {
		ctx, cancel := context.WithCancel(context.Background())
		err := r.failure(func() error {
			_, err := alice.Dial(ctx, bob.at(), transport.Open{Protocol: "p"})
			return err
		})
		offer := bob.offered()
		cancel()
		r.expect("a dial whose context ended", wait(r, "a dial whose context ended", err), context.Canceled)
		r.within("the decision on an offer whose dialer gave up", func() { decide(offer) })
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := alice.Dial(ctx, bob.at(), transport.Open{Protocol: "late"})
	r.expect("a dial past its deadline", err, context.DeadlineExceeded)
}

// streamMany opens 50 streams at once, half of them from each side.
func streamMany(r *rig) {
	const count = 50
	alice, bob := r.pairOf()
	nodes := [2]*node{alice, bob}
	var pending [count]<-chan dialed
	for i := range pending {
		from, to := nodes[i%2], nodes[1-i%2]
		pending[i] = from.dial(to.at(), transport.Open{Protocol: "echo", Payload: []byte{byte(i)}})
	}
	for range count / 2 {
		for _, n := range nodes {
			accepted, err := n.offered().Accept()
			r.must("accept", err)
			s := r.guarded(accepted)
			r.helpers.Go(func() { echo(s) })
		}
	}
	var results []<-chan error
	for i, p := range pending {
		s := r.connected(p)
		results = append(results, r.failure(func() error { return roundTrip(s, pattern(16<<10, byte(i))) }))
	}
	for i, result := range results {
		r.must(fmt.Sprintf("stream %d", i), waitFor(r, fmt.Sprintf("echo on stream %d", i), result, 3*r.patience))
	}
}
