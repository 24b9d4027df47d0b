package mcc

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/transport"
)

// dhtNet is the DHT's way to the network: calls of the transport, and streams
// for long messages. It remembers under which addresses others saw this node.
type dhtNet struct {
	transport transport.Transport

	mu       sync.Mutex
	observed []netip.AddrPort // the latest first, at most maxObserved
}

// maxObserved bounds the own addresses a node remembers.
const maxObserved = 4

// callWait bounds one request of the DHT, repetitions included. A peer that
// says nothing for so long does not talk to this node.
const callWait = 2 * time.Second

// Send implements dht.Sender.
func (d *dhtNet) Send(ctx context.Context, to dht.Contact, m dht.Message) (dht.Reply, error) {
	if m.Stream {
		return d.sendLong(ctx, to, m.Data)
	}
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	answer, err := d.transport.Call(ctx, transport.Contact(to), transport.Request{Data: m.Data, Idempotent: m.Idempotent})
	if err != nil {
		return dht.Reply{}, err
	}
	d.observe(answer.Observed)
	return dht.Reply{
		From:     dht.Contact{ID: answer.Peer.ID, Addr: to.Addr},
		Peer:     answer.Peer,
		Data:     answer.Data,
		RTT:      answer.RTT,
		Observed: answer.Observed,
	}, nil
}

func (d *dhtNet) observe(addr netip.AddrPort) {
	if !addr.IsValid() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.observed, addr); i >= 0 {
		d.observed = slices.Delete(d.observed, i, i+1)
	}
	d.observed = slices.Insert(d.observed, 0, addr)
	d.observed = d.observed[:min(len(d.observed), maxObserved)]
}

func (d *dhtNet) observedAddrs() []netip.AddrPort {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.observed)
}

// callWorkers is how many peers' requests are executed at once; more wait in
// the transport's bounded queue.
const callWorkers = 4

// serveCalls answers the requests of peers until the node closes.
func (n *Node) serveCalls() {
	var workers sync.WaitGroup
	for range callWorkers {
		workers.Go(n.answerCalls)
	}
	workers.Wait()
}

func (n *Node) answerCalls() {
	for {
		call, err := n.parts.transport.AcceptCall(n.life.ctx)
		if err != nil {
			return // closed
		}
		answer, err := n.parts.dht.Handle(n.life.ctx, dht.Request{
			Peer: call.Peer(), From: call.From(), Data: call.Data(), Early: call.Early(), MaxAnswer: call.MaxAnswer(),
		})
		if err == nil {
			err = call.Answer(answer)
		}
		if err != nil {
			n.log.Debug("request of a peer not answered", zap.Stringer("peer", call.Peer().ID), zapErr(err))
		}
	}
}
