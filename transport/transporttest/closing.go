package transporttest

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/staex-mcc/mcc/transport"
)

var closeChecks = []check{
	{"Idempotent", closeIdempotent},
	{"Unblocks", closeUnblocks},
	{"Afterwards", closeAfterwards},
	{"PeersNotice", closePeersNotice},
	{"Undecided", closeUndecided},
}

// operation is something a closed transport must end.
type operation struct {
	name string
	run  func() error
}

// operations of a node towards a peer, none of which has a deadline.
func (n *node) operations(to *node) []operation {
	ctx := context.Background()
	return []operation{
		{"AcceptCall", func() error { _, err := n.AcceptCall(ctx); return err }},
		{"Accept", func() error { _, err := n.Accept(ctx); return err }},
		{"Call", func() error { _, err := n.Call(ctx, to.at(), transport.Request{Data: []byte("?")}); return err }},
		{"Dial", func() error { _, err := n.Dial(ctx, to.at(), transport.Open{Protocol: "p"}); return err }},
	}
}

func closeIdempotent(r *rig) {
	alice, bob := r.pairOf()
	dialer, acceptor := r.stream(alice, bob)
	exchange(r, dialer, acceptor, "alive")
	var pending []<-chan error
	for range 4 {
		pending = append(pending, r.failure(alice.Close))
	}
	for _, p := range pending {
		r.must("one of four Closes", wait(r, "one of four Closes", p))
	}
	r.must("the fifth Close", wait(r, "the fifth Close", r.failure(alice.Close)))
}

func closeUnblocks(r *rig) {
	alice, bob := r.pairOf()
	reader, _ := r.stream(alice, bob)
	writer, _ := r.stream(alice, bob)
	for _, s := range []transport.Stream{reader, writer} {
		r.must("set deadline", s.SetDeadline(time.Time{}))
	}
	type blocked struct {
		name    string
		pending <-chan error
	}
	var ops []blocked
	for _, op := range alice.operations(bob) {
		ops = append(ops, blocked{op.name, r.failure(op.run)})
	}
	bob.asked([]byte("?")) // the call is on its way, and so is
	bob.offered()          // the dial
	reading := r.failure(func() error { _, err := reader.Read(make([]byte, 1)); return err })
	writing := r.failure(func() error {
		for {
			if _, err := writer.Write(make([]byte, 64<<10)); err != nil {
				return err
			}
		}
	})
	r.within("Close with everything going on", func() { alice.Close() })
	for _, op := range ops {
		r.expect(op.name+" that Close ended", wait(r, op.name+" that Close ends", op.pending), transport.ErrClosed)
	}
	r.expect("Read that Close ended", wait(r, "Read that Close ends", reading), net.ErrClosed, transport.ErrClosed)
	r.expect("Write that Close ended", wait(r, "Write that Close ends", writing), net.ErrClosed, transport.ErrClosed)
}

func closeAfterwards(r *rig) {
	alice, bob := r.pairOf()
	bob.serve(reply)
	stream, _ := r.stream(alice, bob)
	r.answered(alice.ask(bob.at(), transport.Request{Data: []byte("hello")}))
	r.must("close", alice.Close())
	for _, op := range alice.operations(bob) {
		r.expect(op.name+" after Close", wait(r, op.name+" after Close", r.failure(op.run)), transport.ErrClosed)
	}
	_, err := stream.Read(make([]byte, 1))
	r.expect("Read after Close", err, net.ErrClosed, transport.ErrClosed)
	_, err = stream.Write([]byte("x"))
	r.expect("Write after Close", err, net.ErrClosed, transport.ErrClosed)
	stream.Reset() // must do no harm
	stream.Close()
	if local := alice.Local(); local.ID != alice.self.ID() {
		r.Errorf("Local after Close is %s", local)
	}
}

func closePeersNotice(r *rig) {
	alice, bob := r.pairOf()
	atAlice, atBob := r.stream(alice, bob)
	exchange(r, atBob, atAlice, "half of something")
	pending := r.failure(func() error { _, err := atAlice.Read(make([]byte, 1)); return err })
	r.within("Close", func() { bob.Close() })

	// The goodbye may be lost: then it takes the transport's own time.
	err := r.gaveUp("a read from a peer that closed", pending)
	if err == nil || isTimeout(err) {
		r.Errorf("a read from a peer that closed: %v", err)
	}
	if errors.Is(err, io.EOF) {
		r.Error("a stream that the peer's Close cut off looks complete: it ended with io.EOF")
	}
	err = nil
	for err == nil {
		_, err = atAlice.Write(make([]byte, 4<<10))
	}
	if isTimeout(err) {
		r.Errorf("a write to a peer that closed: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.patience/20)
	defer cancel()
	if _, err := alice.Call(ctx, bob.at(), transport.Request{Data: []byte("?")}); err == nil {
		r.Error("a closed node answered")
	}
	if s, err := alice.Dial(ctx, bob.at(), transport.Open{Protocol: "p"}); err == nil {
		r.Error("a closed node accepted a stream")
		s.Reset()
	}
}

// closeUndecided closes a node whose user still holds a call and an offer.
func closeUndecided(r *rig) {
	alice, bob := r.pairOf()
	alice.ask(bob.at(), transport.Request{Data: []byte("?")})
	dialing := alice.dial(bob.at(), transport.Open{Protocol: "p"})
	in, offer := bob.asked([]byte("?")), bob.offered()
	r.within("Close with an undecided offer", func() { bob.Close() })
	r.within("decisions after Close", func() {
		in.Answer([]byte("late"))
		if s, err := offer.Accept(); err == nil {
			s.Close()
		}
	})
	if out := wait(r, "a dial to a peer that closed", dialing); out.err == nil {
		out.Stream.Reset()
		r.Error("a dial was accepted by a peer that closed")
	}
	r.within("Close with a call in flight", func() { alice.Close() })
}
