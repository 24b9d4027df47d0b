package sealed

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// Chains that did not fit into the handshake: spec 3.6.
// They travel inside the session, whose keys are sound; only its
// peer is not authorised yet.

const (
	fetchLife  = 5 * time.Second
	fetchRetry = 250 * time.Millisecond
	allParts   = uint16(1<<maxParts - 1)
	// maxServed bounds the parts of our chain that one session gets.
	maxServed = 8 * maxParts
	// maxFetching bounds the chains that are collected at a time, to 8 MiB in
	// all. Parts of further ones are dropped; they are asked for again.
	maxFetching = 512
)

// fetch collects the peer's chain.
type fetch struct {
	hash     [32]byte
	size     int
	chain    []byte // nil until a part has come
	missing  uint16 // bit i: part i is not here yet
	deadline time.Time
	askAt    time.Time
}

func (f *fetch) due() time.Time {
	if f.deadline.Before(f.askAt) {
		return f.deadline
	}
	return f.askAt
}

// partsOf is the bit set of all parts of a chain.
func partsOf(size int) uint16 {
	return allParts >> (maxParts - (size+partSize-1)/partSize)
}

// startFetch prepares s for the chain that a credential names.
func (e *Endpoint) startFetch(now time.Time, s *session, c credential) {
	s.fetch = &fetch{
		hash: c.hash, size: c.size, missing: partsOf(c.size),
		deadline: now.Add(fetchLife), askAt: now,
	}
}

// pursue asks for what is missing if it is time to. It reports false if the
// session had to go.
func (e *Endpoint) pursue(now time.Time, s *session, out *Actions) bool {
	f := s.fetch
	if !now.Before(f.deadline) {
		e.reject(now, s, errNoChain, transport.ErrNoAnswer, out)
		return false
	}
	if !now.Before(f.askAt) {
		f.askAt = now.Add(fetchRetry)
		e.sendFrame(s, frame{kind: frameChainGet, parts: f.missing}, out)
	}
	return true
}

// serve sends parts of the own chain.
func (e *Endpoint) serve(s *session, parts uint16, out *Actions) {
	if e.cfg.Trust.Open() {
		return
	}
	chain := e.own().chain
	parts &= partsOf(len(chain))
	e.counts[chainsServed]++
	for i := range maxParts {
		if parts&(1<<i) == 0 || s.served >= maxServed {
			continue
		}
		s.served++
		part := chain[i*partSize : min((i+1)*partSize, len(chain))]
		e.sendFrame(s, frame{kind: frameChainPart, index: uint8(i), data: part}, out)
	}
}

// receivePart adds a part to the chain, and judges the peer by it when it is
// whole.
func (e *Endpoint) receivePart(now time.Time, s *session, fr frame, out *Actions) {
	f := s.fetch
	start := int(fr.index) * partSize
	switch {
	case f == nil || f.missing&(1<<fr.index) == 0 || len(fr.data) != min(partSize, f.size-start):
		e.counts[droppedUnexpected]++
		return
	case f.chain == nil && e.fetching >= maxFetching:
		e.counts[droppedBusy]++
		return
	case f.chain == nil:
		e.fetching++
		f.chain = make([]byte, f.size)
	}
	copy(f.chain[start:], fr.data)
	if f.missing &^= 1 << fr.index; f.missing != 0 {
		return
	}
	e.counts[chainsFetched]++
	e.endFetch(s)
	who, err := e.judge(now, s, f)
	if err != nil {
		e.reject(now, s, err, fmt.Errorf("%w: %w", transport.ErrUntrusted, err), out)
		return
	}
	s.who = who
	e.authorised(now, s, out)
}

// endFetch stops collecting.
func (e *Endpoint) endFetch(s *session) {
	if s.fetch != nil && s.fetch.chain != nil {
		e.fetching--
	}
	s.fetch = nil
}

// judge decides about a chain that is whole.
func (e *Endpoint) judge(now time.Time, s *session, f *fetch) (*identity.Peer, error) {
	if sha256.Sum256(f.chain) != f.hash {
		return nil, errBadChain
	}
	return e.verifier.checkChain(now, s.peer.id, f.chain)
}

// refuse reports a peer that is not trusted.
func (e *Endpoint) refuse(refusal Refusal, out *Actions) {
	e.counts[refusedPeers]++
	out.Refused = append(out.Refused, refusal)
}
