package mcc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// serveStreams takes what peers open until the node closes. The transport
// bounds how many streams a peer may have.
func (n *Node) serveStreams() {
	for {
		offered, err := n.parts.transport.Accept(n.life.ctx)
		if err != nil {
			return // closed
		}
		n.life.wg.Go(func() { n.serveStream(offered) })
	}
}

// arrival is a stream that somebody opens to this node: a peer, or the node
// itself.
type arrival interface {
	Peer() *identity.Peer
	Open() transport.Open
	Accept() (transport.Stream, error)
	Refuse(reason transport.Reason, text string) error
}

func (n *Node) serveStream(a arrival) {
	kind, name, _ := strings.Cut(a.Open().Protocol, ":")
	switch kind + ":" {
	case protocolService:
		n.serveService(a, name, false)
	case protocolHTTP:
		n.serveService(a, name, true)
	case protocolChannel:
		n.serveChannel(a, name)
	case protocolBlob + ":":
		n.serveBlob(a)
	case protocolDHT + ":":
		n.serveLongCall(a)
	case protocolIdentify + ":":
		if stream, err := a.Accept(); err == nil {
			_ = stream.Close() // nothing to say
		}
	default:
		n.refuse(a, transport.ReasonNotFound, "unknown protocol")
	}
}

// serveService connects a stream to what stands behind a service's name.
func (n *Node) serveService(a arrival, name string, http bool) {
	o := n.offers.get(name)
	if o == nil {
		n.refuse(a, transport.ReasonNotFound, "no such service here")
		return
	}
	if need := "call:" + name; !a.Peer().May(need) {
		n.refuse(a, transport.ReasonDenied, "your certificate lacks "+need)
		return
	}
	if !o.admits(a.Peer()) {
		n.refuse(a, transport.ReasonDenied, "the service's allow list does not name you")
		return
	}
	if o.listener != nil && !http {
		if !o.listener.offer(n.life.ctx, a) {
			n.refuse(a, transport.ReasonBusy, "too many connections wait to be accepted")
		}
		return
	}
	n.serveBackend(a, o, http)
}

// serveBackend reaches the service first, so that the caller can go elsewhere
// if that fails, then accepts and carries bytes until both sides have finished.
func (n *Node) serveBackend(a arrival, o *offer, http bool) {
	ctx, cancel := context.WithCancel(n.life.ctx)
	defer cancel()
	link, err := o.backend.Connect(ctx, callerOf(a.Peer()), http)
	if err != nil {
		n.log.Debug("service could not be reached", zap.String("service", o.service.Name), zapErr(err))
		if errors.Is(err, forward.ErrBusy) {
			n.refuse(a, transport.ReasonBusy, "too many streams")
		} else {
			n.refuse(a, transport.ReasonUnavailable, "the service cannot be reached")
		}
		return
	}
	stream, err := a.Accept()
	if err != nil {
		link.Close()
		return
	}
	if err := link.Serve(ctx, stream); err != nil {
		n.log.Debug("stream ended", zap.String("service", o.service.Name), zap.Stringer("peer", a.Peer().ID), zapErr(err))
	}
}

func callerOf(p *identity.Peer) forward.Caller {
	return forward.Caller{ID: p.ID.String(), Label: p.Label, Consortium: p.Consortium}
}

func (n *Node) refuse(a arrival, reason transport.Reason, text string) {
	n.events.emit(Event{
		Kind: EventRefused, Subject: a.Peer().ID.String(),
		Detail: fmt.Sprintf("%q: %s: %s", a.Open().Protocol, reason, text),
	})
	if err := a.Refuse(reason, text); err != nil {
		n.log.Debug("refusal not sent", zap.Stringer("peer", a.Peer().ID), zapErr(err))
	}
}

// dialSelf opens a stream from the node to itself, through the same door as a
// peer's.
func (n *Node) dialSelf(ctx context.Context, open transport.Open) (net.Conn, error) {
	here, there := forward.Pipe()
	a := &selfArrival{
		open: open, peer: n.selfPeer(), addr: transportAddr(n), far: there, answer: make(chan error, 1),
	}
	n.life.wg.Go(func() { n.serveStream(a) })
	select {
	case err := <-a.answer:
		if err != nil {
			here.Close()
			there.Close()
			return nil, publicError(err)
		}
		return &selfStream{PipeConn: here, peer: a.peer, addr: transportAddr(n)}, nil
	case <-ctx.Done():
		here.Close()
		there.Close()
		return nil, ctx.Err()
	}
}

// selfArrival is a stream from the node to itself.
type selfArrival struct {
	open   transport.Open
	peer   *identity.Peer
	addr   net.Addr
	far    *forward.PipeConn
	answer chan error // capacity 1: Accept or Refuse, once
}

func (a *selfArrival) Peer() *identity.Peer { return a.peer }
func (a *selfArrival) Open() transport.Open { return a.open }

func (a *selfArrival) Accept() (transport.Stream, error) {
	select {
	case a.answer <- nil:
		return &selfStream{PipeConn: a.far, peer: a.peer, addr: a.addr}, nil
	default:
		return nil, errAnswered
	}
}

func (a *selfArrival) Refuse(reason transport.Reason, text string) error {
	select {
	case a.answer <- &transport.RefusedError{Reason: reason, Text: text}:
		return nil
	default:
		return errAnswered
	}
}

var errAnswered = errors.New("the stream has been answered already")

// selfStream is one end of a stream from the node to itself.
type selfStream struct {
	*forward.PipeConn
	peer *identity.Peer
	addr net.Addr
}

func (s *selfStream) Peer() *identity.Peer { return s.peer }
func (s *selfStream) LocalAddr() net.Addr  { return s.addr }
func (s *selfStream) RemoteAddr() net.Addr { return s.addr }
