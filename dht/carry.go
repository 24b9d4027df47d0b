package dht

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"go.uber.org/zap"
)

// carry sends one request and posts what came of it. It is a goroutine of its
// own; there are at most maxSends, and maxStreams for streams.
func (k *Kademlia) carry(s Send) {
	ctx, cancel := context.WithTimeout(k.ctx, sendLimit)
	defer cancel()
	q := *s.Query
	if s.Stream && q.Item != nil {
		whole, err := k.whole(q.Item)
		if err != nil {
			k.post(input{event: Failed{Send: s.ID, Here: true}, lane: laneOf(s)})
			return
		}
		q.Item = whole
	}
	reply, err := k.env.Sender.Send(ctx, s.To, Message{Data: appendQuery(nil, &q), Idempotent: q.Idempotent(), Stream: s.Stream})
	if err != nil {
		k.post(input{event: Failed{Send: s.ID, Here: errors.Is(err, context.Canceled)}, lane: laneOf(s)})
		return
	}
	answer, err := decodeAnswer(reply.Data, s.Query)
	if err == nil {
		err = k.verifyAnswer(ctx, answer)
	}
	if err != nil {
		k.log.Debug("useless answer", zap.Stringer("peer", reply.From.ID), zap.Error(err))
		k.post(input{event: Failed{Send: s.ID}, lane: laneOf(s)})
		return
	}
	k.post(input{event: Answered{Send: s.ID, From: reply.From, Peer: reply.Peer, RTT: reply.RTT, Answer: answer}, lane: laneOf(s)})
}

// verifyAnswer checks every signature in an answer. One bad one spoils it: its
// sender is to check what it keeps.
func (k *Kademlia) verifyAnswer(ctx context.Context, a *Answer) error {
	if err := k.verify(ctx, a.Item, a.Lease); err != nil {
		return err
	}
	for i := range a.Leases {
		if err := k.verify(ctx, nil, &a.Leases[i].Lease); err != nil {
			return err
		}
	}
	return nil
}

// verify checks the signatures of those that are not nil, each version once.
// It waits while maxVerifying others are at it.
func (k *Kademlia) verify(ctx context.Context, it *Item, l *Lease) error {
	if it != nil {
		if err := it.check(); err != nil || it.Immutable() {
			return err
		}
		if err := k.verifyOnce(ctx, it.signed(), it.Sig, it.verify); err != nil {
			return err
		}
	}
	if l != nil {
		if err := l.check(); err != nil {
			return err
		}
		return k.verifyOnce(ctx, l.signed(), l.Sig, func() error { return VerifyLease(*l) })
	}
	return nil
}

func (k *Kademlia) verifyOnce(ctx context.Context, signed, sig []byte, check func() error) error {
	sum := Key(sha256.Sum256(append(signed, sig...)))
	if k.verified.Contains(sum) {
		return nil
	}
	select {
	case k.checking <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("verify: %w", ctx.Err())
	case <-k.ctx.Done():
		return ErrClosed
	}
	err := check()
	<-k.checking
	if err == nil {
		k.verified.Add(sum, struct{}{})
	}
	return err
}
