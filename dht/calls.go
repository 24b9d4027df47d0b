package dht

import (
	"bytes"
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/identity"
)

// answerHint is the room to begin an answer with: most are shorter.
const answerHint = 1200

// do runs a task to its end.
func (k *Kademlia) do(ctx context.Context, t Task) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	id, result := k.lastID.Add(1), make(chan Result, 1)
	select {
	case k.inbox <- input{event: Asked{Op: id, Task: t}, result: result}:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	case <-k.ctx.Done():
		return Result{}, ErrClosed
	}
	select {
	case r := <-result:
		return r, r.Err
	case <-ctx.Done():
		k.post(input{event: Cancelled{Op: id}})
		return Result{}, ctx.Err()
	case <-k.ctx.Done():
		return Result{}, ErrClosed
	}
}

// Join enters the network; see Router. Without seeds it asks the contacts of
// the table and of an earlier run.
func (k *Kademlia) Join(ctx context.Context, seeds ...Contact) error {
	r, err := k.do(ctx, Task{Kind: TaskJoin, Seeds: append([]Contact(nil), seeds...)})
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	k.log.Info("joined", zap.Int("n", len(r.Contacts)))
	return nil
}

// FindPeer returns where a node is; see Router.
func (k *Kademlia) FindPeer(ctx context.Context, id identity.ID) (Contact, error) {
	r, err := k.do(ctx, Task{Kind: TaskFindPeer, Peer: id})
	if err != nil {
		return Contact{}, fmt.Errorf("find peer %s: %w", id, err)
	}
	return r.Contacts[0], nil
}

// FindNearest returns the nodes nearest to key that answered, at most 20,
// nearest first.
func (k *Kademlia) FindNearest(ctx context.Context, key Key) ([]Contact, error) {
	r, err := k.do(ctx, Task{Kind: TaskFindNearest, Key: key})
	if err != nil {
		return nil, fmt.Errorf("find nearest to %s: %w", key, err)
	}
	return r.Contacts, nil
}

// Contacts are the verified contacts, nearest first; none after Close.
func (k *Kademlia) Contacts() []Contact {
	r, err := k.do(context.Background(), Task{Kind: TaskContacts})
	if err != nil {
		return nil
	}
	return r.Contacts
}

// PutLease places a lease of this node; see Leases. Another provider's is
// ErrDenied, since holders take leases from their providers only.
func (k *Kademlia) PutLease(ctx context.Context, l Lease) (int, error) {
	if l.Provider != k.env.Identity.ID() {
		return 0, fmt.Errorf("put lease of %s: %w", l.Provider, ErrDenied)
	}
	l.Body, l.Sig = bytes.Clone(l.Body), bytes.Clone(l.Sig)
	if err := k.verify(ctx, nil, &l); err != nil {
		return 0, fmt.Errorf("put: %w", err)
	}
	res, err := k.do(ctx, Task{Kind: TaskPutLease, Lease: &l})
	if err != nil {
		return res.Acks, fmt.Errorf("put lease under %s: %w", l.Key, err)
	}
	return res.Acks, nil
}

// FindLeases returns the living leases under key; see Leases. At most 4,096
// providers are returned.
func (k *Kademlia) FindLeases(ctx context.Context, key Key) ([]FoundLease, error) {
	res, err := k.do(ctx, Task{Kind: TaskFindLeases, Key: key})
	if err != nil {
		return nil, fmt.Errorf("find leases under %s: %w", key, err)
	}
	for i := range res.Leases {
		l := &res.Leases[i]
		l.Body, l.Sig = bytes.Clone(l.Body), bytes.Clone(l.Sig)
	}
	return res.Leases, nil
}

// Handle executes a peer's request; see DHT. An answer to a put waits for the
// disk, and so does one that carries a large value. At most maxLarge requests
// over streams are at work at a time; more are ErrBusy.
func (k *Kademlia) Handle(ctx context.Context, req Request) ([]byte, error) {
	if req.MaxAnswer > MaxCall || len(req.Data) > MaxCall {
		select {
		case k.large <- struct{}{}:
			defer func() { <-k.large }()
		default:
			k.busy.Add(1)
			return nil, fmt.Errorf("handle: %w", ErrBusy)
		}
	}
	q, err := decodeQuery(req.Data)
	if err != nil {
		return nil, fmt.Errorf("handle: %w", err)
	}
	if req.Peer == nil {
		return nil, fmt.Errorf("handle: no peer: %w", ErrDenied)
	}
	a, err := k.answer(ctx, req, q)
	if err != nil {
		return nil, fmt.Errorf("handle kind %d of %s: %w", q.Kind, req.Peer.ID, err)
	}
	return appendAnswer(make([]byte, 0, answerHint), a), nil
}

// answer has a query checked and answered.
func (k *Kademlia) answer(ctx context.Context, req Request, q *Query) (*Answer, error) {
	if err := permitted(req.Peer, q, req.Early); err != nil {
		return nil, err
	}
	if err := k.verify(ctx, q.Item, q.Lease); err != nil {
		return nil, err
	}
	a, err := k.ask(ctx, Received{
		Call: k.lastID.Add(1), Peer: req.Peer, From: req.From, Query: q,
		Early: req.Early, MaxAnswer: req.MaxAnswer,
	})
	if err == nil && q.Kind == KindGet && a.Item != nil {
		whole := &Answer{Kind: KindGet}
		// There may be a newer and longer version by now.
		if it, err := k.whole(a.Item); err == nil && headerSize+itemSize(it) <= req.MaxAnswer {
			whole.Item = it
		}
		a = whole
	}
	return a, err
}

// ask has the engine answer a query.
func (k *Kademlia) ask(ctx context.Context, ev Received) (*Answer, error) {
	if k.ctx.Err() != nil {
		return nil, ErrClosed
	}
	response := make(chan Response, 1)
	select {
	case k.inbox <- input{event: ev, response: response}:
	default:
		k.busy.Add(1)
		return nil, ErrBusy
	}
	select {
	case r := <-response:
		return r.Answer, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-k.ctx.Done():
		return nil, ErrClosed
	}
}

// Stats returns the counters; after Close most are zero.
func (k *Kademlia) Stats() (s Stats) {
	stats := make(chan Stats, 1)
	if k.post(input{stats: stats}) {
		select {
		case s = <-stats:
		case <-k.ctx.Done():
		}
	}
	s.RequestsRefused = k.busy.Load()
	return s
}
