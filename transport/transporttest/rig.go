package transporttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// rig is the world of one subtest. Its methods that fail the test are for the
// test's own goroutine, unless they say otherwise.
type rig struct {
	testing.TB
	factory  transport.Factory
	patience time.Duration
	virtual  bool
	helpers  sync.WaitGroup
}

func newRig(t *testing.T, f Fixture) *rig {
	r := &rig{TB: t, patience: f.Patience, virtual: f.Virtual}
	r.factory = f.Factory(t)
	// Runs after the nodes are closed: by then nothing may block any more.
	t.Cleanup(func() { r.within("the suite's own goroutines, after Close,", r.helpers.Wait) })
	return r
}

// checkLeaks fails the test if, at its very end, goroutines are left that were
// not there now. In a bubble synctest does that.
func checkLeaks(t *testing.T, f Fixture) {
	if f.Virtual {
		return
	}
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if t.Failed() {
			return // its goroutines may rightly hang about
		}
		if err := goleak.Find(before); err != nil {
			t.Errorf("goroutines are left after Close: %v", err)
		}
	})
}

// ctx ends when the suite's patience does.
func (r *rig) ctx() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), r.patience)
}

// within fails the test if f has not returned in time.
func (r *rig) within(what string, f func()) {
	r.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	wait(r, what, done)
}

// wait receives from ch or fails the test.
func wait[T any](r *rig, what string, ch <-chan T) T {
	r.Helper()
	return waitFor(r, what, ch, r.patience)
}

func waitFor[T any](r *rig, what string, ch <-chan T, patience time.Duration) T {
	r.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		r.Fatalf("%s: nothing within %v", what, patience)
		panic("unreachable")
	}
}

// background runs f in a goroutine and returns where its result will be.
func background[T any](r *rig, f func() T) <-chan T {
	result := make(chan T, 1)
	r.helpers.Go(func() { result <- f() })
	return result
}

// failure runs f in a goroutine and returns where its error will be.
func (r *rig) failure(f func() error) <-chan error { return background(r, f) }

// expect reports err unless it is one of the wanted. Any goroutine may call it.
func (r *rig) expect(what string, err error, wanted ...error) {
	r.Helper()
	for _, want := range wanted {
		if errors.Is(err, want) {
			return
		}
	}
	r.Errorf("%s: got error %v, want %v", what, err, wanted)
}

// must stops the test on an error.
func (r *rig) must(what string, err error) {
	r.Helper()
	if err != nil {
		r.Fatalf("%s: %v", what, err)
	}
}

// equal reports a difference. Any goroutine may call it.
func (r *rig) equal(what string, got, want []byte) {
	r.Helper()
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	r.Errorf("%s: got %d bytes, want %d, from byte %d on %.30q, want %.30q",
		what, len(got), len(want), i, got[i:min(len(got), i+30)], want[i:min(len(want), i+30)])
}

// node is one node under test.
type node struct {
	transport.Transport
	rig  *rig
	name string
	self identity.Identity
}

// node makes a member of an open mesh, whose label is its name.
func (r *rig) node(name string) *node {
	r.Helper()
	self, err := identity.FromSeed(sha256.Sum256([]byte("transporttest "+name)), name, time.Now())
	r.must("identity of "+name, err)
	return r.start(name, transport.Config{Identity: self})
}

// pairOf is the usual two nodes of an open mesh.
func (r *rig) pairOf() (alice, bob *node) {
	r.Helper()
	return r.node("alice"), r.node("bob")
}

// start makes a node that is closed when the test ends.
func (r *rig) start(name string, cfg transport.Config) *node {
	r.Helper()
	tr, err := r.factory(cfg)
	r.must("start "+name, err)
	r.Cleanup(func() { r.within("Close of "+name, func() { tr.Close() }) })
	return &node{tr, r, name, cfg.Identity}
}

// at is where the others reach the node.
func (n *node) at() transport.Contact {
	c := n.Local()
	if ip := c.Addr.Addr(); ip.IsUnspecified() {
		loopback := netip.IPv6Loopback()
		if ip.Is4() {
			loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		c.Addr = netip.AddrPortFrom(loopback, c.Addr.Port())
	}
	return c
}

// checkPeer reports a peer that is not the node.
func (n *node) checkPeer(what string, got *identity.Peer) {
	n.rig.Helper()
	switch {
	case got == nil:
		n.rig.Errorf("%s: the peer is nil, want %s", what, n.name)
	case got.ID != n.self.ID():
		n.rig.Errorf("%s: the peer is %s, want %s, who is %s", what, got.ID, n.name, n.self.ID())
	case got.Label != n.self.Certificate().Label():
		n.rig.Errorf("%s: the label of %s is %q, want %q", what, n.name, got.Label, n.self.Certificate().Label())
	}
}

// pattern is size bytes that repeat nowhere soon and differ by seed.
func pattern(size int, seed byte) []byte {
	out := make([]byte, 0, size+sha256.Size)
	sum := sha256.Sum256([]byte{seed})
	for len(out) < size {
		out = append(out, sum[:]...)
		sum = sha256.Sum256(sum[:])
	}
	return out[:size]
}
