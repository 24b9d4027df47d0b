package transporttest

import (
	"context"
	"slices"

	"github.com/staex-mcc/mcc/transport"
)

// waitChecks wait for what a transport gives up by itself. They run together.
var waitChecks = slices.Concat([]check{
	{"CallUnanswered", waitCallUnanswered},
	{"CallNobody", waitCallNobody},
	{"CallWrongID", waitCallWrongID},
	{"DialNobody", waitDialNobody},
	{"DialWrongID", waitDialWrongID},
	{"OfferIgnored", waitOfferIgnored},
}, strangerChecks())

func strangerChecks() (checks []check) {
	for _, s := range strangers {
		checks = append(checks, check{s.name, s.run})
	}
	return checks
}

// gaveUp waits for an operation whose context has no deadline: it has to end by
// itself.
func (r *rig) gaveUp(what string, pending <-chan error) error {
	r.Helper()
	return waitFor(r, what, pending, 3*r.patience)
}

func (n *node) callForEver(to transport.Contact, req transport.Request) <-chan error {
	return n.rig.failure(func() error {
		_, err := n.Call(context.Background(), to, req)
		return err
	})
}

func (n *node) dialForEver(to transport.Contact) <-chan error {
	return n.rig.failure(func() error {
		_, err := n.Dial(context.Background(), to, transport.Open{Protocol: "p"})
		return err
	})
}

func waitCallUnanswered(r *rig) {
	alice, bob := r.pairOf()
	pending := alice.callForEver(bob.at(), transport.Request{Data: []byte("hello?")})
	bob.asked([]byte("hello?")) // and left unanswered
	r.expect("a call that is not answered", r.gaveUp("a call that is not answered", pending), transport.ErrNoAnswer)
}

// nobody is where a node was.
func (r *rig) nobody() transport.Contact {
	r.Helper()
	gone := r.node("gone")
	at := gone.at()
	r.must("close", gone.Close())
	return at
}

func waitCallNobody(r *rig) {
	alice, nobody := r.node("alice"), r.nobody()
	var pending []<-chan error
	for _, to := range []transport.Contact{nobody, {Addr: nobody.Addr}} {
		for _, idempotent := range []bool{false, true} {
			pending = append(pending, alice.callForEver(to, transport.Request{Data: []byte("?"), Idempotent: idempotent}))
		}
	}
	for _, p := range pending {
		r.expect("a call to nobody", r.gaveUp("a call to nobody", p), transport.ErrNoAnswer)
	}
}

func waitCallWrongID(r *rig) {
	alice, bob, carol := r.node("alice"), r.node("bob"), r.node("carol")
	atBob := bob.arrivals()
	wrong := transport.Contact{ID: carol.self.ID(), Addr: bob.at().Addr}
	early := alice.callForEver(wrong, transport.Request{Data: []byte("carol?"), Idempotent: true})
	late := alice.callForEver(wrong, transport.Request{Data: []byte("carol!")})
	for _, p := range []<-chan error{early, late} {
		r.expect("a call to another's id", r.gaveUp("a call to another's id", p), transport.ErrPeerMismatch, transport.ErrNoAnswer)
	}
	atBob.check(bob)
}

func waitDialNobody(r *rig) {
	alice, nobody := r.node("alice"), r.nobody()
	r.expect("a dial to nobody", r.gaveUp("a dial to nobody", alice.dialForEver(nobody)), transport.ErrNoAnswer)
}

func waitDialWrongID(r *rig) {
	alice, bob, carol := r.node("alice"), r.node("bob"), r.node("carol")
	atBob := bob.arrivals()
	wrong := transport.Contact{ID: carol.self.ID(), Addr: bob.at().Addr}
	r.expect("a dial to another's id", r.gaveUp("a dial to another's id", alice.dialForEver(wrong)),
		transport.ErrPeerMismatch, transport.ErrNoAnswer)
	atBob.check(bob)
}

func waitOfferIgnored(r *rig) {
	alice, bob := r.pairOf()
	pending := alice.dialForEver(bob.at())
	offer := bob.offered()
	err := r.gaveUp("a dial whose offer is ignored", pending)
	expectRefused(r, "a dial whose offer is ignored", err, transport.ReasonBusy)
	if s, err := offer.Accept(); err == nil {
		s := r.guarded(s) // accepted too late: no use, and no harm
		if _, err := s.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			r.Errorf("read from a stream that was accepted too late: %v", err)
		}
	}
}
