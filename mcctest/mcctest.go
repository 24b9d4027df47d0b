// Package mcctest starts a whole mesh inside one test.
//
// The nodes are real ones, with their handshakes, sessions and QUIC, over the
// virtual packet network of transport/simnet. Inside a testing/synctest bubble
// time is virtual too, so minutes of leases and retries pass at once:
//
//	synctest.Test(t, func(t *testing.T) {
//		mesh := mcctest.Start(t, 5)
//		…
//	})
package mcctest

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/transport/simnet"
	"github.com/staex-mcc/mcc/transport/udp"
)

// Port is where every node of a Mesh listens.
const Port = 9376

// joinTimeout bounds how long a node may take to join.
const joinTimeout = time.Minute

// Mesh is a running mesh; the test's end closes it.
type Mesh struct {
	// Net is the network between the nodes: change its links, cut it, heal it.
	Net *simnet.Network
	// Nodes are in the order of their start; the first is the bootnode of the
	// others.
	Nodes []*mcc.Node

	t testing.TB
}

// Config is what a test may want to be different.
type Config struct {
	// Network shapes the links; zero is 10 ms of latency and no loss.
	Network simnet.Options
	// Options changes those of node i before it starts; nil leaves them.
	// Listen and Transport are the Mesh's own business.
	Options func(i int, o *mcc.Options)
}

// Start starts n nodes with identities of their own, labelled node0, node1 and
// so on, and waits until each has joined. A failure ends the test.
func Start(t testing.TB, n int) *Mesh {
	t.Helper()
	return StartWith(t, n, Config{})
}

// StartWith is Start with a say in how the mesh is made.
func StartWith(t testing.TB, n int, cfg Config) *Mesh {
	t.Helper()
	if cfg.Network == (simnet.Options{}) {
		cfg.Network.Latency = 10 * time.Millisecond
	}
	m := &Mesh{Net: simnet.New(cfg.Network), t: t}
	t.Cleanup(m.close)
	for range n {
		m.Add(cfg.Options)
	}
	return m
}

// Add starts one more node and waits until it has joined. The function changes
// its options; nil leaves them.
func (m *Mesh) Add(change func(i int, o *mcc.Options)) *mcc.Node {
	m.t.Helper()
	node := m.AddUnready(change)
	ctx, cancel := context.WithTimeout(m.t.Context(), joinTimeout)
	defer cancel()
	if err := node.Ready(ctx); err != nil {
		m.t.Fatalf("mcctest: %s: %v", node.Label(), err)
	}
	return node
}

// AddUnready is Add for a node that may never join: it does not wait.
func (m *Mesh) AddUnready(change func(i int, o *mcc.Options)) *mcc.Node {
	m.t.Helper()
	node := m.start(len(m.Nodes), change)
	m.Nodes = append(m.Nodes, node)
	return node
}

// Replace starts a new node, with a new identity unless change gives it one, at
// the address of node i, which must be closed. It does not wait.
func (m *Mesh) Replace(i int, change func(i int, o *mcc.Options)) *mcc.Node {
	m.t.Helper()
	m.Nodes[i] = m.start(i, change)
	return m.Nodes[i]
}

func (m *Mesh) start(i int, change func(i int, o *mcc.Options)) *mcc.Node {
	m.t.Helper()
	opts := mcc.Options{Label: fmt.Sprintf("node%d", i)}
	if i > 0 {
		opts.Boot = []string{Addr(0).String()}
	}
	if change != nil {
		change(i, &opts)
	}
	socket, err := m.Net.Listen(Addr(i))
	if err != nil {
		m.t.Fatalf("mcctest: node %d: %v", i, err)
	}
	opts.Transport = udp.Listen(udp.Options{Socket: socket})
	node, err := mcc.New(opts)
	if err != nil {
		m.t.Fatalf("mcctest: node %d: %v", i, err)
	}
	return node
}

// Addr is where node i listens: 10.0.0.1 is the first.
func Addr(i int) netip.AddrPort {
	host := netip.AddrFrom4([4]byte{10, byte((i + 1) >> 16), byte((i + 1) >> 8), byte(i + 1)})
	return netip.AddrPortFrom(host, Port)
}

func (m *Mesh) close() {
	for _, node := range m.Nodes {
		if err := node.Close(); err != nil {
			m.t.Errorf("mcctest: close %s: %v", node.Label(), err)
		}
	}
	if err := m.Net.Close(); err != nil {
		m.t.Errorf("mcctest: close the network: %v", err)
	}
}
