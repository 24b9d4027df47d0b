package transporttest

import (
	"regexp"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// abilityChecks test optional interfaces; a transport without one passes.
var abilityChecks = []check{
	{"PeerLister", abilityPeerLister},
	{"Counters", abilityCounters},
}

var knownPaths = []string{"tcp", "quic", "punched", "relayed"}

func abilityPeerLister(r *rig) {
	alice, bob := r.pairOf()
	lister, ok := alice.Transport.(transport.PeerLister)
	if !ok {
		return
	}
	if peers := lister.Peers(); len(peers) != 0 {
		r.Errorf("a lonely node has peers %v", peers)
	}
	bob.serve(reply)
	start := time.Now()
	r.answered(alice.ask(bob.at(), transport.Request{Data: []byte("hello")}))
	checkPeerState(r, lister, bob, start)
	dialer, acceptor := r.stream(alice, bob)
	exchange(r, dialer, acceptor, "hello")
	checkPeerState(r, lister, bob, start)
	clear(lister.Peers()) // the slice is the caller's
	checkPeerState(r, lister, bob, start)
}

func checkPeerState(r *rig, lister transport.PeerLister, want *node, start time.Time) {
	r.Helper()
	peers := lister.Peers()
	i := slices.IndexFunc(peers, func(p transport.PeerState) bool { return idOf(p.Peer) == want.self.ID() })
	if i < 0 || len(peers) != 1 {
		r.Fatalf("the peers are %v, want one entry, of %s", peers, want.name)
	}
	p := peers[i]
	want.checkPeer("PeerState.Peer", p.Peer)
	if p.Addr.Addr() != want.at().Addr.Addr() {
		r.Errorf("%s is at %s, want %s", want.name, p.Addr, want.at().Addr)
	}
	if !slices.Contains(knownPaths, p.Path) {
		r.Errorf("the path is %q, want one of %q", p.Path, knownPaths)
	}
	if now := time.Now(); p.RTT < 0 || p.LastSeen.Before(start) || p.LastSeen.After(now) {
		r.Errorf("RTT %v, last seen %v ago", p.RTT, now.Sub(p.LastSeen))
	}
}

func idOf(p *identity.Peer) identity.ID {
	if p == nil {
		return identity.ID{}
	}
	return p.ID
}

var snakeCase = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

func abilityCounters(r *rig) {
	alice, bob := r.pairOf()
	counters, ok := alice.Transport.(transport.Counters)
	if !ok {
		return
	}
	before := counters.Counters()
	bob.serve(reply)
	r.answered(alice.ask(bob.at(), transport.Request{Data: []byte("hello")}))
	after := counters.Counters()
	if len(before) != len(after) || len(after) == 0 {
		r.Fatalf("%d counters became %d", len(before), len(after))
	}
	seen := make(map[string]bool)
	for i, c := range after {
		if c.Name != before[i].Name {
			r.Errorf("counter %d was %q and is %q", i, before[i].Name, c.Name)
		}
		if c.Value < before[i].Value {
			r.Errorf("counter %s fell from %d to %d", c.Name, before[i].Value, c.Value)
		}
		if !snakeCase.MatchString(c.Name) || seen[c.Name] {
			r.Errorf("counter name %q is not snake_case or not unique", c.Name)
		}
		seen[c.Name] = true
	}
}
