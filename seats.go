package mcc

import (
	"sync"

	"github.com/staex-mcc/mcc/identity"
)

// seats bounds what is served to peers at a time, in all and to each of them, so
// that no peer keeps the others out.
type seats struct {
	all, each int

	mu      sync.Mutex
	taken   int
	byPeer  map[identity.ID]int
	refused uint64
}

func newSeats(all, each int) *seats {
	return &seats{all: all, each: each, byPeer: make(map[identity.ID]int)}
}

// take gives a peer a seat until leave is called, or counts a refusal.
func (s *seats) take(peer identity.ID) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.all || s.byPeer[peer] >= s.each {
		s.refused++
		return nil, false
	}
	s.taken++
	s.byPeer[peer]++
	return func() { s.leave(peer) }, true
}

func (s *seats) leave(peer identity.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.byPeer[peer]--; s.byPeer[peer] == 0 {
		delete(s.byPeer, peer)
	}
}

func (s *seats) refusals() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}
