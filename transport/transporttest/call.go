package transporttest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/staex-mcc/mcc/transport"
)

var callChecks = []check{
	{"Local", callLocal},
	{"RoundTrip", callRoundTrip},
	{"UnknownID", callUnknownID},
	{"Early", callEarly},
	{"RequestSizes", callRequestSizes},
	{"AnswerSizes", callAnswerSizes},
	{"FirstAnswerCounts", callFirstAnswerCounts},
	{"AtMostOnce", callAtMostOnce},
	{"Cancel", callCancel},
	{"AcceptCancel", callAcceptCancel},
	{"ManyInFlight", callManyInFlight},
	{"Crossing", callCrossing},
}

func callLocal(r *rig) {
	alice, bob := r.pairOf()
	for _, n := range []*node{alice, bob} {
		local := n.Local()
		if local.ID != n.self.ID() {
			r.Errorf("Local names %s, want %s", local.ID, n.self.ID())
		}
		if !local.Addr.IsValid() || local.Addr.Port() == 0 || local.Addr.Addr().Is4In6() {
			r.Errorf("Local is at %s, want an address to reach the node", local.Addr)
		}
	}
	if alice.Local().Addr == bob.Local().Addr {
		r.Errorf("two nodes are at %s", bob.Local().Addr)
	}
}

func callRoundTrip(r *rig) {
	alice, bob := r.pairOf()
	for i, idempotent := range []bool{false, true, false} {
		question := fmt.Appendf(nil, "question %d", i)
		start := time.Now()
		in := r.inquire(alice, bob, transport.Request{Data: question, Idempotent: idempotent})
		alice.checkPeer("IncomingCall.Peer", in.Peer())
		if in.From() != alice.at().Addr {
			r.Errorf("the request is from %s, want %s", in.From(), alice.at().Addr)
		}
		if in.Early() && !idempotent {
			r.Error("a request that is not idempotent came early")
		}
		answer := in.finish(reply(in))
		bob.checkPeer("Answer.Peer", answer.Peer)
		r.equal("the answer", answer.Data, append([]byte("re: "), question...))
		if answer.Observed != alice.at().Addr {
			r.Errorf("the peer observed %s, want %s", answer.Observed, alice.at().Addr)
		}
		if took := time.Since(start); answer.RTT < 0 || answer.RTT > took || answer.RTT == 0 && !r.virtual && took > 20*time.Millisecond {
			r.Errorf("RTT is %v of a call that took %v", answer.RTT, took)
		}
	}
}

func callUnknownID(r *rig) {
	bob := r.node("bob")
	bob.serve(reply)
	for _, idempotent := range []bool{false, true} {
		alice := r.node(fmt.Sprintf("alice%v", idempotent))
		answer := r.answered(alice.ask(transport.Contact{Addr: bob.at().Addr},
			transport.Request{Data: []byte("who?"), Idempotent: idempotent}))
		bob.checkPeer("the answer to a call by address", answer.Peer)
		r.equal("the answer", answer.Data, []byte("re: who?"))
		answer = r.answered(alice.ask(bob.at(), transport.Request{Data: []byte("again")}))
		bob.checkPeer("the answer to a call by id", answer.Peer)
	}
}

func callCancel(r *rig) {
	alice, bob := r.pairOf()
	for i, tt := range []struct {
		want error
		end  func(context.Context) (context.Context, context.CancelFunc)
	}{
		{context.Canceled, context.WithCancel},
		{context.DeadlineExceeded, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 100*time.Millisecond)
		}},
	} {
		ctx, cancel := tt.end(context.Background())
		question := []byte{byte(i)}
		err := r.failure(func() error {
			_, err := alice.Call(ctx, bob.at(), transport.Request{Data: question})
			return err
		})
		var in transport.IncomingCall
		if tt.want == context.Canceled {
			in = bob.asked(question)
			cancel()
		}
		r.expect("a call whose context ended", wait(r, "a call whose context ended", err), tt.want)
		cancel()
		if in != nil {
			in.Answer([]byte("too late")) // must do no harm
		}
		_, late := alice.Call(ctx, bob.at(), transport.Request{Data: question})
		r.expect("a call with a context that is over", late, tt.want)
	}
	again := r.inquire(alice, bob, transport.Request{Data: []byte("still there?")})
	r.equal("the answer after a cancelled call", again.finish([]byte("yes")).Data, []byte("yes"))
}

func callAcceptCancel(r *rig) {
	alice := r.node("alice")
	for name, accept := range map[string]func(context.Context) error{
		"AcceptCall": func(ctx context.Context) error { _, err := alice.AcceptCall(ctx); return err },
		"Accept":     func(ctx context.Context) error { _, err := alice.Accept(ctx); return err },
	} {
		ctx, cancel := context.WithCancel(context.Background())
		pending := r.failure(func() error { return accept(ctx) })
		cancel()
		r.expect(name, wait(r, name+" whose context ended", pending), context.Canceled)
		ctx, cancel = context.WithTimeout(context.Background(), 10*time.Millisecond)
		r.expect(name, wait(r, name+" past its deadline", r.failure(func() error { return accept(ctx) })), context.DeadlineExceeded)
		cancel()
	}
}

// callManyInFlight lets 64 calls of four nodes wait together and answers the
// last one first.
func callManyInFlight(r *rig) {
	const count = 64
	bob := r.node("bob")
	var callers []*node
	for i := range 4 {
		callers = append(callers, r.node(fmt.Sprintf("alice%d", i)))
	}
	var pending [count]<-chan outcome
	for i := range pending {
		pending[i] = callers[i%4].ask(bob.at(), transport.Request{Data: fmt.Appendf(nil, "question %d", i)})
	}
	ctx, cancel := r.ctx()
	defer cancel()
	var held []transport.IncomingCall
	for len(held) < count {
		in, err := bob.AcceptCall(ctx)
		r.must(fmt.Sprintf("accept a call after %d", len(held)), err)
		held = append(held, in)
	}
	for _, in := range slices.Backward(held) {
		r.must("answer", in.Answer(reply(in)))
	}
	for i, p := range pending {
		r.equal("the answer", r.answered(p).Data, fmt.Appendf(nil, "re: question %d", i))
	}
}

// callCrossing lets strangers call each other at the same moment.
func callCrossing(r *rig) {
	for i := range 8 {
		alice, bob := r.node(fmt.Sprintf("alice%d", i)), r.node(fmt.Sprintf("bob%d", i))
		alice.serve(reply)
		bob.serve(reply)
		var ready sync.WaitGroup
		ready.Add(2)
		var pending []<-chan outcome
		for _, dir := range [][2]*node{{alice, bob}, {bob, alice}} {
			pending = append(pending, background(r, func() outcome {
				ctx, cancel := r.ctx()
				defer cancel()
				ready.Done()
				ready.Wait()
				answer, err := dir[0].Call(ctx, dir[1].at(), transport.Request{Data: []byte(dir[0].name), Idempotent: i%2 == 0})
				return outcome{answer, err}
			}))
		}
		r.equal("the answer to alice", r.answered(pending[0]).Data, []byte("re: "+alice.name))
		r.equal("the answer to bob", r.answered(pending[1]).Data, []byte("re: "+bob.name))
	}
}
