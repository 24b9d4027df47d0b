package dht

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// PutRecord stores a signed record; see Records. It is offered again until it
// expires: to prolong it, put it with the same Seq and Value and a later
// Expires, which is at most RecordLife away. At most 8 puts of large values are
// under way, further ones wait.
func (k *Kademlia) PutRecord(ctx context.Context, r Record) (int, error) {
	if r.Owner.IsZero() {
		return 0, fmt.Errorf("put record: %w: no owner", ErrMalformed)
	}
	r.Value, r.Sig = bytes.Clone(r.Value), bytes.Clone(r.Sig)
	it := RecordItem(r)
	if err := k.verify(ctx, it, nil); err != nil {
		return 0, fmt.Errorf("put: %w", err)
	}
	acks, err := k.put(ctx, it, r.Owner == k.env.Identity.ID())
	if err != nil {
		return acks, fmt.Errorf("put record %q: %w", r.Name, err)
	}
	return acks, nil
}

// PutValue stores an immutable value; see Records. At most 8 puts of large
// values are under way, further ones wait.
func (k *Kademlia) PutValue(ctx context.Context, value []byte) (Key, int, error) {
	if len(value) > MaxValue {
		return Key{}, 0, fmt.Errorf("put value: %w: %d bytes, at most %d", ErrMalformed, len(value), MaxValue)
	}
	it := ValueItem(bytes.Clone(value), time.Now().Add(RecordLife))
	acks, err := k.put(ctx, it, true)
	if err != nil {
		return it.Key, acks, fmt.Errorf("put value %s: %w", it.Key, err)
	}
	return it.Key, acks, nil
}

func (k *Kademlia) put(ctx context.Context, it *Item, own bool) (int, error) {
	if !it.small() {
		select {
		case k.putting <- struct{}{}:
			defer func() { <-k.putting }()
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-k.ctx.Done():
			return 0, ErrClosed
		}
	}
	res, err := k.do(ctx, Task{Kind: TaskPut, Item: it, Own: own})
	return res.Acks, err
}

// GetRecord returns the newest record of the holders asked; see Records.
func (k *Kademlia) GetRecord(ctx context.Context, owner identity.ID, name string) (Record, error) {
	r, err := k.record(ctx, Task{Kind: TaskGet, Key: RecordKey(owner, name)})
	if err != nil {
		return Record{}, fmt.Errorf("get record %q of %s: %w", name, owner, err)
	}
	return r, nil
}

// OwnRecord returns this node's own record; see Records.
func (k *Kademlia) OwnRecord(ctx context.Context, name string) (Record, error) {
	r, err := k.record(ctx, Task{Kind: TaskOwn, Key: RecordKey(k.env.Identity.ID(), name)})
	if err != nil {
		return Record{}, fmt.Errorf("own record %q: %w", name, err)
	}
	return r, nil
}

// GetValue returns the immutable value under key; see Records.
func (k *Kademlia) GetValue(ctx context.Context, key Key) ([]byte, error) {
	it, err := k.item(ctx, Task{Kind: TaskGet, Key: key, Immutable: true})
	if err != nil {
		return nil, fmt.Errorf("get value %s: %w", key, err)
	}
	return append([]byte{}, it.Value...), nil
}

func (k *Kademlia) record(ctx context.Context, t Task) (Record, error) {
	it, err := k.item(ctx, t)
	if err != nil {
		return Record{}, err
	}
	r := it.Record()
	r.Value, r.Sig = bytes.Clone(r.Value), bytes.Clone(r.Sig)
	return r, nil
}

// item runs a task that ends with an item, and adds the value that only the
// store has. One that it no longer has is forgotten, so the second time others
// are asked.
func (k *Kademlia) item(ctx context.Context, t Task) (*Item, error) {
	for again := false; ; again = true {
		res, err := k.do(ctx, t)
		if err != nil {
			return nil, err
		}
		it, err := k.whole(res.Item)
		if again || !errors.Is(err, ErrNotFound) {
			return it, err
		}
	}
}

// DropRecord forgets an own record; see Records.
func (k *Kademlia) DropRecord(ctx context.Context, name string) error {
	if _, err := k.do(ctx, Task{Kind: TaskDrop, Key: RecordKey(k.env.Identity.ID(), name)}); err != nil {
		return fmt.Errorf("drop record %q: %w", name, err)
	}
	return nil
}

// DropValue forgets an own immutable value; see Records.
func (k *Kademlia) DropValue(ctx context.Context, key Key) error {
	if _, err := k.do(ctx, Task{Kind: TaskDrop, Key: key, Immutable: true}); err != nil {
		return fmt.Errorf("drop value %s: %w", key, err)
	}
	return nil
}
