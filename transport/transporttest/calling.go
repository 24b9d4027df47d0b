package transporttest

import (
	"bytes"
	"context"
	"errors"

	"github.com/staex-mcc/mcc/transport"
)

// outcome is what a call came to.
type outcome struct {
	transport.Answer
	err error
}

// ask starts a call.
func (n *node) ask(to transport.Contact, req transport.Request) <-chan outcome {
	return background(n.rig, func() outcome {
		ctx, cancel := n.rig.ctx()
		defer cancel()
		answer, err := n.Call(ctx, to, req)
		return outcome{answer, err}
	})
}

// asked returns the request with the given data. Others are dropped: an
// idempotent one may come twice.
func (n *node) asked(data []byte) transport.IncomingCall {
	n.rig.Helper()
	return n.askedBy(nil, data)
}

// askedBy is asked for the request of one caller; nil is any.
func (n *node) askedBy(caller *node, data []byte) transport.IncomingCall {
	n.rig.Helper()
	ctx, cancel := n.rig.ctx()
	defer cancel()
	for {
		in, err := n.AcceptCall(ctx)
		n.rig.must(n.name+" accepts a call", err)
		if !bytes.Equal(in.Data(), data) {
			continue
		}
		if caller == nil || idOf(in.Peer()) == caller.self.ID() {
			return in
		}
		n.rig.Logf("%s waits for a call of %s and drops one of %s", n.name, caller.self.ID(), idOf(in.Peer()))
	}
}

// answered returns a call's answer, which must have come.
func (r *rig) answered(pending <-chan outcome) transport.Answer {
	r.Helper()
	out := wait(r, "the answer of a call", pending)
	r.must("call", out.err)
	return out.Answer
}

// serve answers every request with what handle returns, until the node closes.
func (n *node) serve(handle func(transport.IncomingCall) []byte) {
	n.rig.helpers.Go(func() {
		for {
			in, err := n.AcceptCall(context.Background())
			if err != nil {
				n.rig.expect("accept a call at a closed node", err, transport.ErrClosed)
				return
			}
			if err := in.Answer(handle(in)); err != nil && !errors.Is(err, transport.ErrClosed) {
				n.rig.Errorf("answer: %v", err)
			}
		}
	})
}

func reply(in transport.IncomingCall) []byte { return []byte("re: " + string(in.Data())) }

// inquiry is a call under way, seen from both ends.
type inquiry struct {
	transport.IncomingCall
	answerer *node
	question transport.Request
	pending  <-chan outcome
}

// inquire starts a call and takes it at the other end.
func (r *rig) inquire(caller, answerer *node, req transport.Request) *inquiry {
	r.Helper()
	pending := caller.ask(answerer.at(), req)
	return &inquiry{answerer.askedBy(caller, req.Data), answerer, req, pending}
}

// finish answers and returns what the caller got. On a lossy network an
// idempotent request may come again until the answer gets through; it is
// answered again.
func (q *inquiry) finish(data []byte) transport.Answer {
	r := q.answerer.rig
	r.Helper()
	r.must("answer", q.Answer(data))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	repeats := background(r, func() (count int) {
		for {
			in, err := q.answerer.AcceptCall(ctx)
			if err != nil {
				return count
			}
			if bytes.Equal(in.Data(), q.question.Data) {
				count++
				in.Answer(data)
			}
		}
	})
	answer := r.answered(q.pending)
	cancel()
	if n := wait(r, "the end of AcceptCall", repeats); n > 0 && !q.question.Idempotent {
		r.Errorf("a request that is not idempotent came again, %d times", n)
	}
	return answer
}
