package transporttest

import (
	"context"
	"fmt"
	"time"

	"github.com/staex-mcc/mcc/transport"
)

func callEarly(r *rig) {
	alice, bob := r.pairOf()
	first := pattern(transport.MaxEarlyRequest, 1)
	in := r.inquire(alice, bob, transport.Request{Data: first, Idempotent: true})
	limit := in.MaxAnswer()
	if limit < 1 || limit > transport.MaxAnswer || !in.Early() && limit != transport.MaxAnswer {
		r.Fatalf("the answer may have %d bytes (early: %v)", limit, in.Early())
	}
	r.expect("an answer over MaxAnswer", in.Answer(make([]byte, limit+1)), transport.ErrTooLong)
	r.equal("the longest answer", in.finish(pattern(limit, 2)).Data, pattern(limit, 2))

	second := pattern(100, 3)
	in = r.inquire(alice, bob, transport.Request{Data: second, Idempotent: true})
	if in.Early() || in.MaxAnswer() != transport.MaxAnswer {
		r.Errorf("inside a session: early %v, answer up to %d bytes, want %d", in.Early(), in.MaxAnswer(), transport.MaxAnswer)
	}
	r.equal("an empty answer", in.finish(nil).Data, nil)
}

func callRequestSizes(r *rig) {
	bob := r.node("bob")
	warm := r.node("warm")
	for i, size := range []int{0, 1, transport.MaxEarlyRequest, transport.MaxEarlyRequest + 1, transport.MaxRequest} {
		for _, idempotent := range []bool{false, true} {
			cold := r.node(fmt.Sprintf("cold%d%v", i, idempotent))
			for _, caller := range []*node{cold, warm} {
				data := pattern(size, byte(size))
				in := r.inquire(caller, bob, transport.Request{Data: data, Idempotent: idempotent})
				if in.Early() && (!idempotent || size > transport.MaxEarlyRequest) {
					r.Errorf("%d bytes, idempotent %v, came early", size, idempotent)
				}
				answer := data[:min(size, 10)]
				r.equal("the answer", in.finish(answer).Data, answer)
			}
		}
	}
	for _, caller := range []*node{r.node("stranger"), warm} {
		for _, idempotent := range []bool{false, true} {
			req := transport.Request{Data: make([]byte, transport.MaxRequest+1), Idempotent: idempotent}
			out := wait(r, "a call that is too long", caller.ask(bob.at(), req))
			r.expect("a request over MaxRequest", out.err, transport.ErrTooLong)
		}
	}
}

func callAnswerSizes(r *rig) {
	alice, bob := r.pairOf()
	for i, size := range []int{0, 1, transport.MaxAnswer} {
		question := []byte{byte(i)}
		in := r.inquire(alice, bob, transport.Request{Data: question})
		if in.MaxAnswer() != transport.MaxAnswer {
			r.Errorf("the answer may have %d bytes, want %d", in.MaxAnswer(), transport.MaxAnswer)
		}
		r.expect("an answer over MaxAnswer", in.Answer(make([]byte, transport.MaxAnswer+1)), transport.ErrTooLong)
		data := pattern(size, 7)
		r.must("answer", in.Answer(data))
		clear(data) // Answer does not keep it
		r.equal("the answer", r.answered(in.pending).Data, pattern(size, 7))
	}
}

func callFirstAnswerCounts(r *rig) {
	alice, bob := r.pairOf()
	for _, question := range []string{"one", "two"} {
		in := r.inquire(alice, bob, transport.Request{Data: []byte(question)})
		r.must("answer", in.Answer([]byte("first to "+question)))
		in.Answer([]byte("second")) // an error or none, as long as it does not arrive
		r.equal("the answer", r.answered(in.pending).Data, []byte("first to "+question))
	}
}

// callAtMostOnce holds an answer back for longer than any sender waits before it
// sends again.
func callAtMostOnce(r *rig) {
	hold := min(600*time.Millisecond, r.patience/4)
	alice, bob := r.pairOf()
	in := r.inquire(alice, bob, transport.Request{Data: []byte("count me")})
	ctx, cancel := context.WithTimeout(context.Background(), hold)
	defer cancel()
	if again, err := bob.AcceptCall(ctx); err == nil {
		r.Errorf("a request that is not idempotent came again: %q", again.Data())
	}
	r.equal("the answer", in.finish([]byte("1")).Data, []byte("1"))
}
