package transporttest

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"sync"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/identity/ca"
	"github.com/staex-mcc/mcc/transport"
)

var trustChecks = []check{
	{"SameCA", trustSameCA},
	{"SeveralCAs", trustSeveralCAs},
	{"OpenMesh", trustOpenMesh},
}

func (r *rig) ca(consortium string) *ca.CA {
	r.Helper()
	authority, err := ca.New(ca.Options{Consortium: consortium, Now: time.Now().AddDate(0, 0, -10)})
	r.must("make a CA", err)
	return authority
}

func (r *rig) trust(authorities ...*ca.CA) *identity.Trust {
	r.Helper()
	var roots []*x509.Certificate
	for _, a := range authorities {
		roots = append(roots, a.Certificate())
	}
	trust, err := identity.NewTrust(roots)
	r.must("trust", err)
	return trust
}

// certified makes an identity that a CA certifies; start and life may be zero.
func (r *rig) certified(by *ca.CA, label string, start time.Time, life time.Duration) identity.Identity {
	r.Helper()
	key := identity.PrivateKeyFromSeed(sha256.Sum256([]byte(by.Consortium() + " " + label)))
	der, err := identity.CreateRequest(key, label)
	r.must("certificate request", err)
	req, err := identity.ParseRequest(identity.EncodeRequestPEM(der))
	r.must("certificate request", err)
	cert, err := by.Sign(req, ca.Leaf{
		Permissions: identity.Permissions{"route", "call:" + label},
		NotBefore:   start,
		Lifetime:    life,
	})
	r.must("sign "+label, err)
	self, err := identity.New(key, cert)
	r.must("identity of "+label, err)
	return self
}

func (r *rig) member(by *ca.CA, label string, trust *identity.Trust) *node {
	r.Helper()
	return r.start(label, transport.Config{Identity: r.certified(by, label, time.Time{}, 0), Trust: trust})
}

// verified makes a call and a stream and returns how each end saw the other.
func (r *rig) verified(from, to *node) (callers, answerers []*identity.Peer) {
	r.Helper()
	in := r.inquire(from, to, transport.Request{Data: []byte("hello")})
	callers = append(callers, in.Peer())
	answerers = append(answerers, in.finish(nil).Peer)

	dialing := from.dial(to.at(), transport.Open{Protocol: "p"})
	offer := to.offered()
	accepted, err := offer.Accept()
	r.must("accept", err)
	theirs, own := r.guarded(accepted), r.connected(dialing)
	exchange(r, own, theirs, "trusted")
	return append(callers, offer.Peer(), theirs.Peer()), append(answerers, own.Peer())
}

func (n *node) checkFacts(peers []*identity.Peer, consortium string, permissions identity.Permissions) {
	n.rig.Helper()
	for i, p := range peers {
		n.checkPeer("a verified peer", p)
		if p == nil {
			continue
		}
		if p.Consortium != consortium || !slices.Equal(p.Permissions, permissions) {
			n.rig.Errorf("%s, seen for the %dth time, is of %q with %v, want %q with %v",
				n.name, i, p.Consortium, p.Permissions, consortium, permissions)
		}
		if p.NotAfter.IsZero() != (consortium == "") {
			n.rig.Errorf("the certificate of %s ends at %v", n.name, p.NotAfter)
		}
	}
}

func trustSameCA(r *rig) {
	acme := r.ca("acme")
	alice, bob := r.member(acme, "alice", r.trust(acme)), r.member(acme, "bob", r.trust(acme))
	asAlice, asBob := r.verified(alice, bob)
	alice.checkFacts(asAlice, "acme", identity.Permissions{"route", "call:alice"})
	bob.checkFacts(asBob, "acme", identity.Permissions{"route", "call:bob"})
}

func trustSeveralCAs(r *rig) {
	acme, other := r.ca("acme"), r.ca("other")
	both := r.trust(acme, other)
	alice, bob := r.member(acme, "alice", both), r.member(other, "bob", both)
	asAlice, asBob := r.verified(alice, bob)
	alice.checkFacts(asAlice, "acme", identity.Permissions{"route", "call:alice"})
	bob.checkFacts(asBob, "other", identity.Permissions{"route", "call:bob"})
}

// trustOpenMesh: labels are the nodes' own words there, and permissions are the
// same for all, whatever their certificates say.
func trustOpenMesh(r *rig) {
	alice, bob := r.pairOf()
	asAlice, asBob := r.verified(alice, bob)
	alice.checkFacts(asAlice, "", identity.OpenPermissions())
	bob.checkFacts(asBob, "", identity.OpenPermissions())
}

// stranger is somebody whom a mesh with a CA must not let in.
type stranger struct {
	name string
	make func(r *rig, acme *ca.CA) transport.Config
}

// The strangers trust the mesh, so that it alone has to refuse.
var strangers = []stranger{
	{"StrangerForeignCA", func(r *rig, acme *ca.CA) transport.Config {
		foreign := r.ca("foreign")
		return transport.Config{Identity: r.certified(foreign, "mallory", time.Time{}, 0), Trust: r.trust(acme, foreign)}
	}},
	{"StrangerSameName", func(r *rig, acme *ca.CA) transport.Config {
		// Another CA that calls itself by the trusted one's name.
		return transport.Config{Identity: r.certified(r.ca("acme"), "mallory", time.Time{}, 0)}
	}},
	{"StrangerExpired", func(r *rig, acme *ca.CA) transport.Config {
		yesterday := time.Now().Add(-48 * time.Hour)
		return transport.Config{Identity: r.certified(acme, "mallory", yesterday, 24*time.Hour)}
	}},
	{"StrangerSelfSigned", func(r *rig, acme *ca.CA) transport.Config {
		self, err := identity.NewRandom("mallory", time.Now())
		r.must("identity", err)
		return transport.Config{Identity: self}
	}},
}

// arrivals notes who got through to a node. Everybody is answered and accepted.
type arrivals struct {
	mu     sync.Mutex
	calls  []*identity.Peer
	offers []*identity.Peer
}

func (n *node) arrivals() *arrivals {
	a := &arrivals{}
	n.serve(func(in transport.IncomingCall) []byte {
		a.mu.Lock()
		defer a.mu.Unlock()
		if string(in.Data()) != "may come early" {
			a.calls = append(a.calls, in.Peer())
		}
		return []byte("let in")
	})
	n.rig.helpers.Go(func() {
		for {
			offer, err := n.Accept(context.Background())
			if err != nil {
				return
			}
			a.mu.Lock()
			a.offers = append(a.offers, offer.Peer())
			a.mu.Unlock()
			if s, err := offer.Accept(); err == nil {
				n.rig.helpers.Go(func() { echo(s); s.Close() })
			}
		}
	})
	return a
}

// check reports whoever is not in want.
func (a *arrivals) check(n *node, want ...*node) {
	n.rig.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for what, peers := range map[string][]*identity.Peer{"call": a.calls, "stream": a.offers} {
		for _, p := range peers {
			if p == nil || !slices.ContainsFunc(want, func(n *node) bool { return n.self.ID() == p.ID }) {
				n.rig.Errorf("a %s of %s got through to %s", what, idOf(p), n.name)
			}
		}
		if len(want) > 0 && len(peers) == 0 {
			n.rig.Errorf("no %s of a member got through to %s", what, n.name)
		}
	}
}

// run tries everything between a member and the stranger, then shows that the
// member is well and has seen nobody but its friend.
func (s stranger) run(r *rig) {
	acme := r.ca("acme")
	alice, friend := r.member(acme, "alice", r.trust(acme)), r.member(acme, "friend", r.trust(acme))
	mallory := r.start("mallory", s.make(r, acme))
	atAlice, atMallory := alice.arrivals(), mallory.arrivals()

	ctx, cancel := context.WithTimeout(context.Background(), r.patience/4)
	defer cancel()
	var attempts sync.WaitGroup
	for _, dir := range [][2]*node{{mallory, alice}, {alice, mallory}} {
		from, to := dir[0], dir[1]
		for _, contact := range []transport.Contact{to.at(), {Addr: to.at().Addr}} {
			for _, req := range s.requests(from == alice) {
				attempts.Go(func() {
					if answer, err := from.Call(ctx, contact, req); err == nil {
						r.Errorf("%s got answer %q from %s", from.name, answer.Data, to.name)
					}
				})
			}
		}
		attempts.Go(func() {
			if stream, err := from.Dial(ctx, to.at(), transport.Open{Protocol: "p"}); err == nil {
				r.Errorf("%s got a stream to %s", from.name, to.name)
				stream.Reset()
			}
		})
	}
	r.within("calls and dials that must fail", attempts.Wait)

	r.answered(friend.ask(alice.at(), transport.Request{Data: []byte("hello")}))
	stream := r.connected(friend.dial(alice.at(), transport.Open{Protocol: "p"}))
	r.must("echo", roundTrip(stream, []byte("still well")))
	atAlice.check(alice, friend)
	atMallory.check(mallory)
}

// requests of a node that must not be answered. An idempotent one of a member
// may reach the stranger, since it goes out before the stranger has shown a
// certificate; the member just never takes the answer.
func (s stranger) requests(member bool) []transport.Request {
	early := "idempotent"
	if member {
		early = "may come early"
	}
	return []transport.Request{{Data: []byte("steady")}, {Data: []byte(early), Idempotent: true}}
}
