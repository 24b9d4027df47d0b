package udp

import (
	"context"
	"slices"
	"sync"

	"github.com/staex-mcc/mcc/identity"
)

// maxAsking bounds the streams to one peer that wait for its decision; further
// dials wait for their turn. It is half of what a peer puts up with
// (maxUndecidedPerPeer), since one that was given up here may still count there.
const maxAsking = 128

// turns lets so many dials to each peer ask at once, in the order they came.
// The queue is as long as there are callers inside Dial, each for as long as its
// context allows.
type turns struct {
	mu    sync.Mutex
	peers map[identity.ID]*line
}

// line is the queue of one peer; it exists as long as somebody asks.
type line struct {
	asking  int
	waiting []chan struct{} // closed when the turn is handed over
}

func newTurns() *turns { return &turns{peers: make(map[identity.ID]*line)} }

// take waits for a turn, to be given back with give. waited tells that it was
// not to be had at once.
func (t *turns) take(ctx context.Context, id identity.ID) (waited bool, err error) {
	turn := t.join(id)
	if turn == nil {
		return false, nil
	}
	select {
	case <-turn:
		return true, nil
	case <-ctx.Done():
	}
	if !t.quit(id, turn) { // it was handed over meanwhile
		t.give(id)
	}
	return true, ctx.Err()
}

// join takes a turn, which is nil, or a place in the queue.
func (t *turns) join(id identity.ID) chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.peers[id]
	if l == nil {
		l = &line{}
		t.peers[id] = l
	}
	if l.asking < maxAsking {
		l.asking++
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	return turn
}

// quit leaves the queue, and reports whether turn was still in it.
func (t *turns) quit(id identity.ID, turn chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.peers[id]
	if l == nil {
		return false
	}
	i := slices.Index(l.waiting, turn)
	if i < 0 {
		return false
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	return true
}

// give hands a turn to the first in the queue.
func (t *turns) give(id identity.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.peers[id]
	if len(l.waiting) > 0 {
		close(l.waiting[0])
		l.waiting[0] = nil // for the collector
		l.waiting = l.waiting[1:]
		return
	}
	if l.asking--; l.asking == 0 {
		delete(t.peers, id)
	}
}
