package mcc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/transport"
)

// A message of the DHT that is too long for a call goes over a stream of its
// own (spec 5): its length in 4 bytes, big-endian, and the message; the answer
// in the same form.
const longHeader = 4

const (
	// longWait bounds a long message and its answer, longRead the reading of a
	// peer's.
	longWait = 10 * time.Second
	longRead = 3 * time.Second
	// maxLongCalls bounds those of peers that are served at a time, and
	// maxPeerLongCalls those of one peer; past them peers hear that the node is
	// busy, and ask again once after busyPause.
	maxLongCalls     = 128
	maxPeerLongCalls = 8
	busyPause        = 200 * time.Millisecond
)

// sendLong carries a message that does not fit a call.
func (d *dhtNet) sendLong(ctx context.Context, to dht.Contact, message []byte) (dht.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, longWait)
	defer cancel()
	stream, err := d.dialLong(ctx, to)
	if err != nil {
		return dht.Reply{}, err
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Now()) })()
	if err := writeLong(stream, message); err != nil {
		return dht.Reply{}, err
	}
	answer, err := readLong(stream)
	if err != nil {
		return dht.Reply{}, err
	}
	return dht.Reply{From: to, Peer: stream.Peer(), Data: answer}, nil
}

// dialLong opens a stream to a node, which may be busy for a moment.
func (d *dhtNet) dialLong(ctx context.Context, to dht.Contact) (transport.Stream, error) {
	open := transport.Open{Protocol: protocolDHT}
	stream, err := d.transport.Dial(ctx, transport.Contact(to), open)
	if refused, ok := errors.AsType[*transport.RefusedError](err); !ok || refused.Reason != transport.ReasonBusy {
		return stream, err
	}
	select {
	case <-time.After(busyPause):
		return d.transport.Dial(ctx, transport.Contact(to), open)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func writeLong(w io.Writer, message []byte) error {
	_, err := w.Write(slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message))
	return err
}

func readLong(r io.Reader) ([]byte, error) {
	var header [longHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(header[:])
	if n > dht.MaxMessage {
		return nil, fmt.Errorf("message of %d bytes, at most %d", n, dht.MaxMessage)
	}
	message := make([]byte, n)
	_, err := io.ReadFull(r, message)
	return message, err
}

// serveLongCall answers one long message of a peer.
func (n *Node) serveLongCall(a arrival) {
	if len(a.Peer().Permissions) == 0 {
		n.refuse(a, transport.ReasonDenied, "your certificate permits nothing")
		return
	}
	leave, ok := n.longCalls.take(a.Peer().ID)
	if !ok {
		_ = a.Refuse(transport.ReasonBusy, "too many long messages")
		return
	}
	defer leave()
	stream, err := a.Accept()
	if err != nil {
		return
	}
	defer stream.Close()
	ctx, cancel := context.WithTimeout(n.life.ctx, longWait)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Now()) })()
	if err := n.answerLong(ctx, stream); err != nil {
		stream.Reset()
		n.log.Debug("long message of a peer not answered", zap.Stringer("peer", a.Peer().ID), zapErr(err))
	}
}

func (n *Node) answerLong(ctx context.Context, stream transport.Stream) error {
	silence := time.AfterFunc(longRead, func() { _ = stream.SetReadDeadline(time.Now()) })
	message, err := readLong(stream)
	silence.Stop()
	if err != nil {
		return err
	}
	answer, err := n.parts.dht.Handle(ctx, dht.Request{Peer: stream.Peer(), Data: message, MaxAnswer: dht.MaxMessage})
	if err != nil {
		return err
	}
	return writeLong(stream, answer)
}
