package sealed

import (
	"cmp"
	"crypto/ecdh"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// epoch is when every test begins.
var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// oneWay is the latency between any two nodes.
const oneWay = 10 * time.Millisecond

// world delivers packets between endpoints in virtual time, one at a time and in
// an order that depends on nothing but the test.
type world struct {
	t     testing.TB
	now   time.Time
	nodes []*node
	queue []flight
	seq   int
	added int
	log   []flight // everything that was sent, in order

	// filter decides what becomes of a packet: nil drops it.
	filter func(flight) []flight
}

// flight is a packet on its way.
type flight struct {
	from, to netip.AddrPort
	data     []byte
	at       time.Time // of arrival
	seq      int
}

// node is one endpoint with what happened to it.
type node struct {
	*Endpoint
	w        *world
	addr     netip.AddrPort
	id       identity.Identity
	results  map[CallID]Result
	done     map[CallID]time.Time
	requests []Request
	refused  []Refusal
	executed map[string]int // by data of the request
	// handle answers a request; nil answers "re:" and the data.
	handle func(Request) (answer []byte, ok bool)
	out    Actions
}

func newWorld(t testing.TB) *world { return &world{t: t, now: epoch} }

// seeded is the identity number n.
func seeded(t testing.TB, n int) *identity.Local {
	t.Helper()
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(n))
	id, err := identity.FromSeed(seed, fmt.Sprintf("node%d", n), epoch)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// address is where node number n lives.
func address(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 9376)
}

// open adds a node of an open mesh.
func (w *world) open(n int) *node { return w.add(n, Config{Identity: seeded(w.t, n)}) }

// add adds node number n. Its randomness comes from its number and how many
// nodes were there before it.
func (w *world) add(n int, cfg Config) *node {
	w.t.Helper()
	w.added++
	cfg.Rand = rand.New(rand.NewPCG(uint64(n), uint64(w.added)))
	e, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	makeDeterministic(e, n, w.added)
	nd := &node{
		Endpoint: e, w: w, addr: address(n), id: cfg.Identity,
		results: make(map[CallID]Result), done: make(map[CallID]time.Time), executed: make(map[string]int),
	}
	w.nodes = append(w.nodes, nd)
	return nd
}

// makeDeterministic replaces the secrets of an endpoint by known ones.
func makeDeterministic(e *Endpoint, seeds ...int) {
	var seed [32]byte
	for i, s := range seeds {
		binary.BigEndian.PutUint64(seed[8*i:], uint64(s)+1)
	}
	source := rand.NewChaCha8(seed)
	e.random = func(b []byte) { source.Read(b) }
	e.ephemeral = func() (*ecdh.PrivateKey, error) {
		var b [32]byte
		source.Read(b[:])
		return ecdh.X25519().NewPrivateKey(b[:])
	}
	e.seed()
}

// remove takes a node off the network, as a crash does.
func (w *world) remove(nd *node) {
	w.nodes = slices.DeleteFunc(w.nodes, func(x *node) bool { return x == nd })
}

func (nd *node) contact() transport.Contact {
	return transport.Contact{ID: nd.id.ID(), Addr: nd.addr}
}

// call starts a call; the test fails if it is refused at once.
func (nd *node) call(to transport.Contact, data string, idempotent bool) CallID {
	nd.w.t.Helper()
	id, err := nd.Call(nd.w.now, to, transport.Request{Data: []byte(data), Idempotent: idempotent}, 0, &nd.out)
	if err != nil {
		nd.w.t.Fatalf("call %s: %v", to, err)
	}
	nd.settle()
	return id
}

// settle carries out what the endpoint wants, answers included.
func (nd *node) settle() {
	for nd.carryOut() {
	}
}

func (nd *node) carryOut() bool {
	out := nd.out
	nd.out = Actions{}
	for _, s := range out.Sends {
		nd.w.send(flight{from: nd.addr, to: s.To, data: slices.Clone(s.Data)})
	}
	for _, r := range out.Results {
		if _, twice := nd.results[r.ID]; twice {
			nd.w.t.Errorf("call %d has two results", r.ID)
		}
		nd.results[r.ID], nd.done[r.ID] = r, nd.w.now
	}
	nd.refused = append(nd.refused, out.Refused...)
	for _, r := range out.Requests {
		nd.requests = append(nd.requests, r)
		nd.executed[string(r.Data)]++
		answer, ok := append([]byte("re:"), r.Data...), true
		if nd.handle != nil {
			answer, ok = nd.handle(r)
		}
		if !ok {
			continue
		}
		if err := nd.Answer(nd.w.now, r.Ticket, answer, &nd.out); err != nil {
			nd.w.t.Errorf("answer: %v", err)
		}
	}
	return len(nd.out.Sends)+len(nd.out.Results)+len(nd.out.Requests)+len(nd.out.Refused) > 0
}

func (w *world) send(f flight) {
	if len(f.data) > maxPacket || len(f.data) == 0 {
		w.t.Errorf("packet of %d bytes", len(f.data))
	}
	f.at = w.now.Add(oneWay)
	w.log = append(w.log, f)
	flights := []flight{f}
	if w.filter != nil {
		flights = w.filter(f)
	}
	for _, f := range flights {
		w.inject(f)
	}
}

// inject puts a packet on its way behind the filter's back.
func (w *world) inject(f flight) {
	w.seq++
	f.seq = w.seq
	place, _ := slices.BinarySearchFunc(w.queue, f, func(a, b flight) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return cmp.Compare(a.seq, b.seq)
	})
	w.queue = slices.Insert(w.queue, place, f)
}

// step does the next thing that is due before end, and reports whether there
// was one.
func (w *world) step(end time.Time) bool {
	at, sleeper := end, (*node)(nil)
	for _, nd := range w.nodes {
		if d := nd.NextDeadline(); !d.IsZero() && d.Before(at) {
			at, sleeper = d, nd
		}
	}
	if len(w.queue) > 0 && !w.queue[0].at.After(at) && w.queue[0].at.Before(end) {
		f := w.queue[0]
		w.queue = w.queue[1:]
		w.advance(f.at)
		w.deliver(f)
		return true
	}
	if sleeper == nil {
		w.advance(end)
		return false
	}
	w.advance(at)
	sleeper.Tick(w.now, &sleeper.out)
	sleeper.settle()
	return true
}

func (w *world) advance(to time.Time) {
	if to.After(w.now) {
		w.now = to
	}
}

func (w *world) deliver(f flight) {
	for _, nd := range w.nodes {
		if nd.addr == f.to {
			nd.Receive(w.now, f.from, f.data, &nd.out)
			nd.settle()
			nd.check()
		}
	}
}

// run lets d of virtual time pass.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	for n := 0; w.step(end); n++ {
		if n > 1_000_000 {
			w.t.Fatal("the world does not come to rest")
		}
	}
}

// await runs until a call has a result, for at most 70 s.
func (nd *node) await(id CallID) Result {
	nd.w.t.Helper()
	end := nd.w.now.Add(70 * time.Second)
	for {
		if r, ok := nd.results[id]; ok {
			return r
		}
		if !nd.w.step(end) {
			nd.w.t.Fatalf("call %d has no result", id)
		}
	}
}

// ask calls and awaits an answer, which it checks to be the echo. It returns
// how long it took.
func (nd *node) ask(to transport.Contact, data string, idempotent bool) time.Duration {
	nd.w.t.Helper()
	began := nd.w.now
	id := nd.call(to, data, idempotent)
	r := nd.await(id)
	if r.Err != nil {
		nd.w.t.Fatalf("call %q: %v", data, r.Err)
	}
	if string(r.Answer.Data) != "re:"+data {
		nd.w.t.Fatalf("answer %q to %q", r.Answer.Data, data)
	}
	if !to.ID.IsZero() && r.Answer.Peer.ID != to.ID {
		nd.w.t.Fatalf("answer of %s, asked %s", r.Answer.Peer.ID, to.ID)
	}
	return nd.done[id].Sub(began)
}

// count is a counter of the endpoint.
func (nd *node) count(c counter) uint64 { return nd.counts[c] }

// check finds an endpoint whose tables contradict each other.
func (nd *node) check() {
	t := nd.w.t
	t.Helper()
	if n := nd.live.Len() + nd.halfOpen.Len(); n != len(nd.sessions) {
		t.Errorf("%d sessions in lists, %d by index", n, len(nd.sessions))
	}
	if nd.waiting.Len() != len(nd.pending) {
		t.Errorf("%d requests waiting, %d pending", nd.waiting.Len(), len(nd.pending))
	}
	fetching := 0
	for _, s := range nd.sessions {
		if s.fetch != nil && s.fetch.chain != nil {
			fetching++
		}
		if s.live != (s.half == nil && s.who != nil) {
			t.Errorf("session %d: live is %v", s.local, s.live)
		}
	}
	if fetching != nd.fetching && nd.fetching < maxFetching {
		t.Errorf("%d chains are collected, %d counted", fetching, nd.fetching)
	}
	for id, p := range nd.peers {
		if len(p.sessions)+len(p.handshakes)+len(p.calls) == 0 {
			t.Errorf("peer %s is kept for nothing", id)
		}
		for _, s := range p.sessions {
			if nd.sessions[s.local] != s || s.spot == 0 {
				t.Errorf("session %d of a peer is gone or has no timer", s.local)
			}
		}
		for _, c := range p.calls {
			if nd.calls[c.id] != c || c.spot == 0 {
				t.Errorf("call %d of a peer is gone or has no timer", c.id)
			}
		}
		if p.current != nil && !slices.Contains(p.sessions, p.current) {
			t.Error("current session is gone")
		}
	}
}

// packets are the types of the packets sent so far, in order.
func (w *world) packets() []byte {
	types := make([]byte, len(w.log))
	for i, f := range w.log {
		types[i] = f.data[0]
	}
	return types
}
