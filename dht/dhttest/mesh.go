package dhttest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/store"
	"github.com/staex-mcc/mcc/store/memory"
)

// What the network of a Mesh is like.
const (
	// Latency is one way.
	Latency = 10 * time.Millisecond
	// Timeout is how long a sender waits for a node that does not answer.
	Timeout = time.Second
	// MaxAnswer is the room a node has for an answer, to a stranger
	// MaxEarlyAnswer, over a stream dht.MaxMessage.
	MaxAnswer      = dht.MaxCall
	MaxEarlyAnswer = 1000
)

var errNoAnswer = errors.New("no answer")

// Mesh is a network in memory for the DHTs of one test. Run it in a
// testing/synctest bubble: with the Latency of NewMesh it sleeps.
type Mesh struct {
	tb      testing.TB
	factory dht.Factory
	latency time.Duration

	mu       sync.Mutex
	nodes    map[netip.AddrPort]*Node
	sessions map[[2]identity.ID]bool
	puts     []Packet
	sent     int
	streams  int
}

// Packet is a request as it went over the network.
type Packet struct {
	From, To *Node
	Data     []byte
	Stream   bool
}

// Node is one node of a Mesh.
type Node struct {
	dht.DHT
	Identity identity.Identity
	// Peer is what others verify about it.
	Peer  *identity.Peer
	Addr  netip.AddrPort
	Store store.Store

	mesh *Mesh
	cut  bool // guarded by mesh.mu
	// tamper changes the node's answers; nil holds one back. Guarded by mesh.mu.
	tamper func(m dht.Message, answer []byte) []byte
}

// NewMesh makes a network on which every packet takes latency.
func NewMesh(tb testing.TB, f dht.Factory, latency time.Duration) *Mesh {
	return &Mesh{
		tb: tb, factory: f, latency: latency,
		nodes: map[netip.AddrPort]*Node{}, sessions: map[[2]identity.ID]bool{},
	}
}

// Start adds a node that has not joined. The permissions are those of an open
// mesh unless some are given. The node closes with the test.
func (m *Mesh) Start(permissions ...string) *Node {
	m.tb.Helper()
	m.mu.Lock()
	number := uint32(len(m.nodes) + 1)
	m.mu.Unlock()
	var seed [32]byte
	binary.BigEndian.PutUint32(seed[:], number)
	id, err := identity.FromSeed(seed, fmt.Sprintf("node%d", number), time.Now())
	if err != nil {
		m.tb.Fatalf("identity: %v", err)
	}
	ip := [4]byte{10}
	binary.BigEndian.PutUint16(ip[2:], uint16(number))
	n := &Node{
		Identity: id, Peer: identity.OpenPeer(id.ID(), id.Certificate().Label()),
		Addr:  netip.AddrPortFrom(netip.AddrFrom4(ip), 9376),
		Store: memory.New(), mesh: m,
	}
	if len(permissions) > 0 {
		n.Peer.Permissions = permissions
	}
	m.mu.Lock()
	m.nodes[n.Addr] = n
	m.mu.Unlock()
	n.open()
	return n
}

// StartJoined adds count nodes that join through the first node of all, which
// is among them if the mesh was empty.
func (m *Mesh) StartJoined(count int) []*Node {
	m.tb.Helper()
	nodes := make([]*Node, count)
	for i := range nodes {
		nodes[i] = m.Start()
		if i > 0 {
			nodes[i].MustJoin(nodes[0].Contact())
		}
	}
	return nodes
}

// open starts the node's DHT on the store it has.
func (n *Node) open() {
	n.mesh.tb.Helper()
	d, err := n.mesh.factory(dht.Env{Identity: n.Identity, Sender: n, Store: n.Store})
	if err != nil {
		n.mesh.tb.Fatalf("make the DHT: %v", err)
	}
	n.mesh.mu.Lock()
	n.DHT = d
	n.mesh.mu.Unlock()
	n.mesh.tb.Cleanup(func() { d.Close() })
}

// Restart closes the DHT and starts another one on the same store.
func (n *Node) Restart() {
	n.mesh.tb.Helper()
	n.Stop()
	n.open()
	n.SetCut(false)
}

// Stop closes the DHT; the node no longer answers.
func (n *Node) Stop() {
	n.mesh.tb.Helper()
	n.SetCut(true)
	if err := n.Close(); err != nil {
		n.mesh.tb.Errorf("Close: %v", err)
	}
}

// SetCut takes the node's network away or gives it back.
func (n *Node) SetCut(cut bool) {
	n.mesh.mu.Lock()
	n.cut = cut
	n.mesh.mu.Unlock()
}

// SetTamper has the node's answers changed on their way, or with nil no longer.
func (n *Node) SetTamper(tamper func(m dht.Message, answer []byte) []byte) {
	n.mesh.mu.Lock()
	n.tamper = tamper
	n.mesh.mu.Unlock()
}

func (n *Node) tampered(m dht.Message, answer []byte) []byte {
	n.mesh.mu.Lock()
	tamper := n.tamper
	n.mesh.mu.Unlock()
	if tamper == nil {
		return answer
	}
	return tamper(m, answer)
}

// Contact is where the node is.
func (n *Node) Contact() dht.Contact { return dht.Contact{ID: n.Peer.ID, Addr: n.Addr} }

// MustJoin joins or fails the test.
func (n *Node) MustJoin(seeds ...dht.Contact) {
	n.mesh.tb.Helper()
	if err := n.Join(n.mesh.tb.Context(), seeds...); err != nil {
		n.mesh.tb.Fatalf("Join: %v", err)
	}
}

// Send implements dht.Sender. As with the real transport, the first idempotent
// request to a stranger is early, and one that is not answered runs into the
// timeout.
func (n *Node) Send(ctx context.Context, to dht.Contact, m dht.Message) (dht.Reply, error) {
	start := time.Now()
	n.mesh.checkSize("a request", len(m.Data), m.Stream)
	target, d, early := n.mesh.route(n, to, m)
	if target == nil {
		return dht.Reply{}, wait(ctx, Timeout, errNoAnswer)
	}
	if err := wait(ctx, n.mesh.latency, nil); err != nil {
		return dht.Reply{}, err
	}
	req := dht.Request{Peer: n.Peer, From: n.Addr, Data: append([]byte(nil), m.Data...), Early: early, MaxAnswer: MaxAnswer}
	switch {
	case m.Stream:
		req.MaxAnswer = dht.MaxMessage
	case early:
		req.MaxAnswer = MaxEarlyAnswer
	}
	answer, err := d.Handle(ctx, req)
	if err == nil {
		answer = target.tampered(m, answer)
	}
	if err != nil || answer == nil {
		return dht.Reply{}, wait(ctx, Timeout, errNoAnswer)
	}
	if len(answer) > req.MaxAnswer {
		n.mesh.tb.Errorf("an answer of %d bytes where %d are allowed", len(answer), req.MaxAnswer)
	}
	if err := wait(ctx, n.mesh.latency, nil); err != nil {
		return dht.Reply{}, err
	}
	return dht.Reply{
		From: target.Contact(), Peer: target.Peer, Data: answer,
		RTT: max(time.Since(start), 1), Observed: n.Addr,
	}, nil
}

// checkSize fails the test for a message that the network would not carry.
func (m *Mesh) checkSize(what string, size int, stream bool) {
	most := dht.MaxCall
	if stream {
		most = dht.MaxMessage
	}
	if size > most {
		m.tb.Errorf("%s of %d bytes, at most %d", what, size, most)
	}
}

// route finds the receiver, nil if there is none, and notes the request.
func (m *Mesh) route(from *Node, to dht.Contact, msg dht.Message) (target *Node, d dht.DHT, early bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent++
	if msg.Stream {
		m.streams++
	}
	target = m.nodes[to.Addr]
	if target == nil || target.cut || from.cut || !to.ID.IsZero() && to.ID != target.Peer.ID {
		return nil, nil, false
	}
	pair := [2]identity.ID{from.Peer.ID, target.Peer.ID}
	early = msg.Idempotent && !msg.Stream && !m.sessions[pair]
	m.sessions[pair] = true
	if !msg.Idempotent {
		m.puts = append(m.puts, Packet{From: from, To: target, Data: append([]byte(nil), msg.Data...), Stream: msg.Stream})
	}
	return target, target.DHT, early
}

// Puts returns the requests so far that are not idempotent, and forgets them.
func (m *Mesh) Puts() []Packet {
	m.mu.Lock()
	defer m.mu.Unlock()
	puts := m.puts
	m.puts = nil
	return puts
}

// Sent is how many requests nodes have sent so far.
func (m *Mesh) Sent() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sent
}

// Streams is how many of them went over streams.
func (m *Mesh) Streams() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.streams
}

// wait returns err after d, or the context's error.
func wait(ctx context.Context, d time.Duration, err error) error {
	if d == 0 {
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
