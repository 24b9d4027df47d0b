package discovery

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/store"
)

// placer signs this node's leases and puts them into the DHT, with sequence
// numbers that grow over restarts.
type placer struct {
	dht      dht.Leases
	self     identity.Identity
	log      *zap.Logger
	sequence *sequence

	placed, unacknowledged, failed atomic.Uint64
}

// newPlacer keeps its sequence in s under key, or relies on the clock without
// one. A nil log is silent.
func newPlacer(d dht.Leases, self identity.Identity, s store.Store, key string, log *zap.Logger) *placer {
	if log == nil {
		log = zap.NewNop()
	}
	seq, err := newSequence(s, key)
	if err != nil {
		log.Warn("lease sequence relies on the clock", zap.Error(err))
	}
	return &placer{dht: d, self: self, log: log, sequence: seq}
}

// place puts what current returns and returns how many other nodes took it.
// Calls may overlap: of two, the one that asked current later has the higher
// sequence number, and wins at every holder.
func (p *placer) place(ctx context.Context, key dht.Key, current func() (dht.Lease, error)) (acks int, err error) {
	seq, acks, err := p.put(ctx, current)
	if err == nil && acks > 0 || ctx.Err() != nil {
		return acks, err
	}
	if err != nil && !errors.Is(err, dht.ErrOutdated) {
		return acks, err
	}
	// Nobody took it. That is so if this node left a lease with a higher number
	// in an earlier life.
	if !p.skipOwn(ctx, key, seq) {
		return acks, err
	}
	_, acks, err = p.put(ctx, current)
	return acks, err
}

// put signs and places one lease or withdrawal. Its number is one that current
// took from the sequence.
func (p *placer) put(ctx context.Context, current func() (dht.Lease, error)) (seq uint64, acks int, err error) {
	defer func() {
		switch {
		case err != nil:
			p.failed.Add(1)
		case acks == 0:
			p.unacknowledged.Add(1)
			fallthrough
		default:
			p.placed.Add(1)
		}
	}()
	if err := p.sequence.reserve(time.Now()); err != nil {
		p.log.Warn("lease sequence relies on the clock", zap.Error(err))
	}
	l, err := current()
	if err != nil {
		return 0, 0, err
	}
	if l, err = dht.SignLease(p.self, l); err != nil {
		return 0, 0, fmt.Errorf("%w: %w", errSign, err)
	}
	acks, err = p.dht.PutLease(ctx, l)
	return l.Seq, acks, err
}

// skipOwn looks for a lease of this node that is newer than seq and not of this
// placer's making, and moves the sequence past it.
func (p *placer) skipOwn(ctx context.Context, key dht.Key, seq uint64) bool {
	found, err := p.dht.FindLeases(ctx, key)
	if err != nil {
		return false
	}
	own := p.self.ID()
	for _, l := range found {
		if l.Provider == own && l.Seq > seq {
			return p.sequence.skip(l.Seq, time.Now())
		}
	}
	return false
}

// errSign: the identity could not sign.
var errSign = errors.New("sign")
