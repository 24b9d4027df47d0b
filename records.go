package mcc

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/store"
)

const (
	// recordLife is how far ahead the end of a kept record is set.
	recordLife = dht.RecordLife
	// putAttempts bounds how often a put follows a version it did not know.
	putAttempts = 3
	// recordStripes is how many records of a node can be put at a time.
	recordStripes = 64
)

// recordBook puts this node's records: one version of a name after the other.
type recordBook struct {
	saved *savedState
	seed  maphash.Seed
	// stripes are locks, each for the names that hash to it. A lock is held
	// across the network, so it is a channel that honours a context.
	stripes [recordStripes]chan struct{}
}

func newRecordBook(saved *savedState) *recordBook {
	b := &recordBook{saved: saved, seed: maphash.MakeSeed()}
	for i := range b.stripes {
		b.stripes[i] = make(chan struct{}, 1)
	}
	return b
}

// lock waits for its turn with a name and returns how to end it.
func (b *recordBook) lock(ctx context.Context, name string) (unlock func(), err error) {
	stripe := b.stripes[maphash.String(b.seed, name)%recordStripes]
	select {
	case stripe <- struct{}{}:
		return func() { <-stripe }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// PutRecord implements Records.
func (n *Node) PutRecord(ctx context.Context, name string, value []byte, o RecordOptions) (Record, error) {
	if err := CheckRecordName(name); err != nil {
		return Record{}, err
	}
	if o.TTL < 0 || o.TTL > recordLife || o.TTL > 0 && o.TTL < time.Second {
		return Record{}, fmt.Errorf("%w: a record lives from 1 s to %s", ErrInvalid, recordLife)
	}
	return n.putRecord(ctx, name, value, o)
}

// putRecord is PutRecord for names of the node's own too.
func (n *Node) putRecord(ctx context.Context, name string, value []byte, o RecordOptions) (Record, error) {
	if err := n.alive(); err != nil {
		return Record{}, err
	}
	if len(value) > MaxValue {
		return Record{}, fmt.Errorf("record %q: %w: %d bytes, at most %d", name, ErrTooLarge, len(value), MaxValue)
	}
	unlock, err := n.records.lock(ctx, name)
	if err != nil {
		return Record{}, err
	}
	defer unlock()
	for attempt := 1; ; attempt++ {
		r, err := n.putNext(ctx, name, value, o)
		if !errors.Is(err, dht.ErrOutdated) {
			return r, publicError(err)
		}
		if o.IfSeq != nil || attempt == putAttempts {
			return Record{}, fmt.Errorf("record %q: %w: a newer version was put by another node with this identity", name, ErrConflict)
		}
	}
}

// putNext puts the version after the one in force. dht.ErrOutdated says that a
// newer one has come to light.
func (n *Node) putNext(ctx context.Context, name string, value []byte, o RecordOptions) (Record, error) {
	seq, err := n.currentSeq(ctx, name)
	switch {
	case err != nil:
		return Record{}, err
	case o.IfSeq != nil && *o.IfSeq != seq:
		return Record{}, fmt.Errorf("record %q: %w: it has sequence %d, not %d", name, ErrConflict, seq, *o.IfSeq)
	case seq == math.MaxUint64:
		return Record{}, fmt.Errorf("record %q: %w: its sequence is at its end", name, ErrConflict)
	}
	r, err := n.offerRecord(ctx, name, seq+1, value, o.TTL)
	if err != nil {
		return Record{}, err
	}
	// Saved last: what is saved is never ahead of what is in force, so a put
	// that failed leaves no gap in the sequence.
	if o.TTL == 0 {
		err = n.records.saved.putRecord(name, r.Seq, value)
	} else {
		err = n.records.saved.deleteRecord(name)
	}
	return r, err
}

// offerRecord signs a version and gives it to the DHT.
func (n *Node) offerRecord(ctx context.Context, name string, seq uint64, value []byte, ttl time.Duration) (Record, error) {
	if ttl == 0 {
		ttl = recordLife
	}
	r, err := dht.SignRecord(n.self, dht.Record{Name: name, Seq: seq, Expires: time.Now().Add(ttl), Value: value})
	if err != nil {
		return Record{}, err
	}
	acks, err := n.parts.dht.PutRecord(ctx, r)
	if err != nil {
		return Record{}, err
	}
	n.noteHolders(acks, zap.String("record", name))
	return Record(r), nil
}

// noteHolders tells the operator of a put that no other node took, though there
// are others: it is durable here and will be offered again.
func (n *Node) noteHolders(acks int, what zap.Field) {
	if acks == 0 && len(n.parts.dht.Contacts()) > 0 {
		n.log.Warn("no other node took what was put: it is offered again later", what)
	}
}

// currentSeq is the sequence of the own record in force, 0 if there is none.
// Whoever lost the data folder learns it from the mesh.
func (n *Node) currentSeq(ctx context.Context, name string) (uint64, error) {
	seq, _, err := n.records.saved.getRecord(name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	r, err := n.parts.dht.OwnRecord(ctx, name)
	if errors.Is(err, dht.ErrNotFound) && seq == 0 {
		n.awaitJoin(ctx)
		r, err = n.parts.dht.GetRecord(ctx, n.ID(), name)
	}
	if err != nil && !errors.Is(err, dht.ErrNotFound) {
		return 0, err
	}
	return max(seq, r.Seq), nil
}

// GetRecord implements Records.
func (n *Node) GetRecord(ctx context.Context, owner, name string) (Record, error) {
	if err := n.alive(); err != nil {
		return Record{}, err
	}
	if name == "" || len(name) > maxRecordName {
		return Record{}, fmt.Errorf("%w: a record's name has 1 to %d bytes", ErrInvalid, maxRecordName)
	}
	n.awaitJoin(ctx)
	id, err := n.resolveNode(ctx, owner)
	if err != nil {
		return Record{}, err
	}
	r, err := n.parts.dht.GetRecord(ctx, id, name)
	return Record(r), publicError(err)
}

// DropRecord implements Records.
func (n *Node) DropRecord(ctx context.Context, name string) error {
	if err := n.alive(); err != nil {
		return err
	}
	if err := CheckRecordName(name); err != nil {
		return err
	}
	unlock, err := n.records.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	_, _, saved := n.records.saved.getRecord(name)
	if err := n.records.saved.deleteRecord(name); err != nil {
		return err
	}
	err = n.parts.dht.DropRecord(ctx, name)
	if errors.Is(err, dht.ErrNotFound) && saved == nil {
		return nil
	}
	return publicError(err)
}

// PutValue implements Records.
func (n *Node) PutValue(ctx context.Context, value []byte) (Hash, error) {
	if err := n.alive(); err != nil {
		return Hash{}, err
	}
	if len(value) > MaxValue {
		return Hash{}, fmt.Errorf("value: %w: %d bytes, at most %d", ErrTooLarge, len(value), MaxValue)
	}
	key, acks, err := n.parts.dht.PutValue(ctx, value)
	if err != nil {
		return Hash{}, publicError(err)
	}
	n.noteHolders(acks, zap.Stringer("value", key))
	return Hash(key), nil
}

// GetValue implements Records.
func (n *Node) GetValue(ctx context.Context, id Hash) ([]byte, error) {
	if err := n.alive(); err != nil {
		return nil, err
	}
	n.awaitJoin(ctx)
	value, err := n.parts.dht.GetValue(ctx, dht.Key(id))
	return value, publicError(err)
}

// DropValue implements Records.
func (n *Node) DropValue(ctx context.Context, id Hash) error {
	if err := n.alive(); err != nil {
		return err
	}
	return publicError(n.parts.dht.DropValue(ctx, dht.Key(id)))
}

// prolongEvery is between looks at the records that the node keeps alive;
// prolongAhead is how much life must be left in one.
const (
	prolongEvery = time.Hour
	prolongAhead = recordLife / 2
)

// keepRecords prolongs the node's records until it closes.
func (n *Node) keepRecords() {
	if !n.waitJoined() {
		return
	}
	ticker := time.NewTicker(prolongEvery)
	defer ticker.Stop()
	for {
		for name, err := range n.records.saved.recordNames() {
			if err == nil {
				err = n.prolongRecord(n.life.ctx, name)
			}
			if err != nil && n.alive() == nil {
				n.log.Warn("record not prolonged", zap.String("name", name), zapErr(err))
			}
		}
		select {
		case <-ticker.C:
		case <-n.life.ctx.Done():
			return
		}
	}
}

// prolongRecord offers a saved record again if it has little life left, or none
// since the node was away for long.
func (n *Node) prolongRecord(ctx context.Context, name string) error {
	unlock, err := n.records.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	seq, value, err := n.records.saved.getRecord(name)
	if errors.Is(err, store.ErrNotFound) {
		return nil // dropped meanwhile
	}
	if err != nil {
		return err
	}
	held, err := n.parts.dht.OwnRecord(ctx, name)
	if err != nil && !errors.Is(err, dht.ErrNotFound) {
		return err
	}
	if held.Seq > seq { // a put that ended between the two
		seq, value = held.Seq, held.Value
		if err := n.records.saved.putRecord(name, seq, value); err != nil {
			return err
		}
	}
	if held.Seq == seq && time.Until(held.Expires) > prolongAhead {
		return nil
	}
	_, err = n.offerRecord(ctx, name, seq, value, 0)
	if errors.Is(err, dht.ErrOutdated) {
		return nil // the DHT has taken over the newer version
	}
	return err
}
