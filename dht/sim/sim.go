// Package sim runs thousands of dht engines in one goroutine and virtual time.
//
// Everything that happens comes from one heap of events in order of time and
// number, and every choice from one seed, so a run with the same [Config] and
// the same calls is the same bit for bit; [World.Trace] proves it. Nodes have
// no keys here and sign nothing: what the simulator finds out is about the
// protocol, not the cryptography round it.
package sim

import (
	"encoding/binary"
	"hash"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

// Config says what a world is like. The zero value is a network without loss
// and a median round trip of 60 ms.
type Config struct {
	// Seed of every choice.
	Seed uint64
	// Loss is the share of requests, and of answers, that are lost: 0 to 1.
	Loss float64
	// Timeout is how long a sender waits for an answer; zero is 1 s. Resend is
	// how often it asks again meanwhile; zero is 250 ms.
	Timeout, Resend time.Duration
	// Access is the median delay of a node's own line; a one-way trip passes
	// two. Zero is 15 ms. Lines differ log-normally.
	Access time.Duration
	// Alpha is the parallelism of lookups; zero is the engine's default.
	Alpha int
}

// Spread of the delays of lines (sigma of their logarithm), and the largest
// random addition to a single trip.
const (
	accessSigma = 0.6
	maxJitter   = 5 * time.Millisecond
)

// World is a network of engines. It is not safe for concurrent use.
type World struct {
	cfg    Config
	rng    *rand.Rand
	now    time.Time
	events eventHeap
	seq    uint64
	nodes  []*Node
	trace  hash.Hash64
	lastID uint64
	// waiting are those who want to know the result of a task.
	waiting map[uint64]func(dht.Result)
	// calls are requests waiting for the answer of an engine.
	calls map[uint64]call
	// Requests counts what was sent, lost and repeated requests included.
	Requests uint64
	// Streams counts those of them that went over a stream.
	Streams uint64
}

// Node is one engine and where it is.
type Node struct {
	Contact dht.Contact
	Alive   bool
	peer    *identity.Peer
	engine  *dht.Engine
	line    time.Duration
	tick    time.Time // of the tick that counts
	number  int
	store   map[dht.Key]*dht.Item // whole items
}

// call is a request that an engine is working on.
type call struct {
	from *Node
	send uint64
	sent time.Time
}

// New makes an empty world. Its clock starts at the beginning of 2026.
func New(cfg Config) *World {
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Second
	}
	if cfg.Resend == 0 {
		cfg.Resend = 250 * time.Millisecond
	}
	if cfg.Access == 0 {
		cfg.Access = 15 * time.Millisecond
	}
	return &World{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), trace: fnv.New64a(),
		now:     time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		waiting: map[uint64]func(dht.Result){}, calls: map[uint64]call{},
	}
}

// Node returns the i-th node, in order of adding.
func (w *World) Node(i int) *Node { return w.nodes[i] }

// Now is the virtual time.
func (w *World) Now() time.Time { return w.now }

// Random returns a living node, nil if there is none.
func (w *World) Random() *Node { return w.random(nil) }

// Len is how many nodes were ever added.
func (w *World) Len() int { return len(w.nodes) }

// Trace is a hash over all that was delivered so far, and when.
func (w *World) Trace() uint64 { return w.trace.Sum64() }

// Add starts a node that knows nobody.
func (w *World) Add() *Node {
	n := &Node{number: len(w.nodes), Alive: true, store: map[dht.Key]*dht.Item{}}
	for i := 0; i < len(n.Contact.ID); i += 8 {
		binary.LittleEndian.PutUint64(n.Contact.ID[i:], w.rng.Uint64())
	}
	ip := binary.BigEndian.AppendUint32(nil, 10<<24+uint32(n.number)+1)
	n.Contact.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip)), 9376)
	n.peer = identity.OpenPeer(n.Contact.ID, "")
	n.line = time.Duration(float64(w.cfg.Access) * math.Exp(accessSigma*w.rng.NormFloat64()))
	n.engine = dht.NewEngine(dht.EngineConfig{
		Self: n.Contact.ID, Alpha: w.cfg.Alpha, Rand: rand.New(rand.NewPCG(w.rng.Uint64(), w.rng.Uint64())),
	}, w.now)
	w.nodes = append(w.nodes, n)
	w.schedule(n)
	return n
}

// Kill takes a node away without a word.
func (w *World) Kill(n *Node) { n.Alive = false }

// Start begins a task at n; then is called with its result, unless n dies.
func (w *World) Start(n *Node, t dht.Task, then func(dht.Result)) {
	w.lastID++
	w.waiting[w.lastID] = then
	w.step(n, dht.Asked{Op: w.lastID, Task: t})
}

// Do runs a task at n to its end and returns the result and the virtual time it
// took. The node must be alive.
func (w *World) Do(n *Node, t dht.Task) (result dht.Result, took time.Duration) {
	start, done := w.now, false
	w.Start(n, t, func(r dht.Result) { result, done = r, true })
	for !done && w.next() {
	}
	return result, w.now.Sub(start)
}

// Run lets virtual time pass.
func (w *World) Run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.events) > 0 && !w.events[0].at.After(end) {
		w.next()
	}
	w.now = end
}

// next handles the first event; false if there is none.
func (w *World) next() bool {
	if len(w.events) == 0 {
		return false
	}
	ev := w.events.pop()
	w.now = ev.at
	if !ev.node.Alive || ev.kind == tick && !ev.at.Equal(ev.node.tick) {
		return true
	}
	w.note(ev)
	switch ev.kind {
	case tick:
		ev.node.tick = time.Time{}
		w.step(ev.node, dht.Tick{})
	case request:
		w.deliver(ev)
	default:
		w.step(ev.node, ev.what)
	}
	return true
}

// note adds an event to the trace.
func (w *World) note(ev event) {
	var b [17]byte
	b[0] = byte(ev.kind)
	binary.LittleEndian.PutUint64(b[1:], uint64(ev.at.UnixNano()))
	binary.LittleEndian.PutUint64(b[9:], uint64(ev.node.number))
	w.trace.Write(b[:])
}

// step feeds an engine and carries out what it says.
func (w *World) step(n *Node, ev dht.Event) {
	act := n.engine.Step(w.now, ev)
	for _, s := range act.Sends {
		w.send(n, s)
	}
	for _, wr := range act.Writes {
		n.write(wr)
		if wr.ID != 0 {
			w.push(event{at: w.now, kind: local, node: n, what: dht.Stored{Write: wr.ID}})
		}
	}
	for _, r := range act.Responses {
		w.respond(n, r)
	}
	for _, r := range act.Results {
		then := w.waiting[r.Op]
		delete(w.waiting, r.Op)
		then(r)
	}
	w.schedule(n)
}

// write keeps an item; a head changes what is said about the value that is kept.
func (n *Node) write(wr dht.Write) {
	if wr.Kept == nil {
		delete(n.store, wr.Key)
		return
	}
	it := *wr.Kept.Item
	if old := n.store[wr.Key]; !it.Whole() && old != nil {
		it.Value = old.Value
	}
	n.store[wr.Key] = &it
}

// whole adds the value that a head lacks.
func (n *Node) whole(it *dht.Item) *dht.Item {
	if it == nil || it.Whole() {
		return it
	}
	return n.store[it.Key]
}

// schedule sets the tick of n to its deadline, if that came nearer.
func (w *World) schedule(n *Node) {
	at := n.engine.NextDeadline()
	if at.Before(w.now) {
		at = w.now
	}
	if n.tick.IsZero() || at.Before(n.tick) {
		n.tick = at
		w.push(event{at: at, kind: tick, node: n})
	}
}

// send puts a request on its way, or its failure.
func (w *World) send(n *Node, s dht.Send) {
	w.Requests++
	to := w.at(s.To.Addr)
	if to == nil || !to.Alive || !s.To.ID.IsZero() && s.To.ID != to.Contact.ID {
		w.fail(n, s.ID, w.now)
		return
	}
	// The one attempt that comes through both ways is the one that is carried.
	at := w.now
	for w.lostOnRoundTrip() {
		if at = at.Add(w.cfg.Resend); at.Sub(w.now) >= w.cfg.Timeout {
			w.fail(n, s.ID, w.now)
			return
		}
		w.Requests++
	}
	if s.Stream {
		w.Streams++
	}
	if s.Stream && s.Query.Item != nil {
		q := *s.Query
		q.Item = n.whole(q.Item)
		s.Query = &q
	}
	w.push(event{at: at.Add(w.trip(n, to)), kind: request, node: to, from: n, sent: w.now, send: s})
}

func (w *World) fail(n *Node, send uint64, sent time.Time) {
	at := sent.Add(w.cfg.Timeout)
	if at.Before(w.now) {
		at = w.now
	}
	w.push(event{at: at, kind: local, node: n, what: dht.Failed{Send: send}})
}

// deliver hands a request to its receiver.
func (w *World) deliver(ev event) {
	w.lastID++
	w.calls[w.lastID] = call{from: ev.from, send: ev.send.ID, sent: ev.sent}
	room := dht.MaxCall
	if ev.send.Stream {
		room = dht.MaxMessage
	}
	w.step(ev.node, dht.Received{
		Call: w.lastID, Peer: ev.from.peer, From: ev.from.Contact.Addr,
		Query: ev.send.Query, MaxAnswer: room,
	})
}

// respond puts an answer on its way back.
func (w *World) respond(n *Node, r dht.Response) {
	c := w.calls[r.Call]
	delete(w.calls, r.Call)
	if r.Err != nil {
		w.fail(c.from, c.send, c.sent)
		return
	}
	if r.Answer.Kind == dht.KindGet {
		r.Answer = &dht.Answer{Kind: dht.KindGet, Item: n.whole(r.Answer.Item)}
	}
	at := w.now.Add(w.trip(n, c.from))
	w.push(event{at: at, kind: answer, node: c.from, what: dht.Answered{
		Send: c.send, From: n.Contact, Peer: n.peer, RTT: at.Sub(c.sent), Answer: r.Answer,
	}})
}

// lostOnRoundTrip reports whether a request or its answer is lost.
func (w *World) lostOnRoundTrip() bool {
	if w.lost() {
		return true
	}
	return w.lost()
}

func (w *World) lost() bool { return w.cfg.Loss > 0 && w.rng.Float64() < w.cfg.Loss }

func (w *World) trip(a, b *Node) time.Duration {
	return a.line + b.line + time.Duration(w.rng.Int64N(int64(maxJitter)))
}

// at returns the node with an address, nil if there never was one.
func (w *World) at(a netip.AddrPort) *Node {
	ip := a.Addr().As4()
	i := int(binary.BigEndian.Uint32(ip[:])) - 10<<24 - 1
	if i < 0 || i >= len(w.nodes) {
		return nil
	}
	return w.nodes[i]
}
