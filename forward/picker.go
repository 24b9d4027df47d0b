package forward

import (
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"
	"sync"
)

// maxTurns bounds the services whose turn a Picker remembers. Past it all are
// forgotten, which costs round-robin nothing but a start anew.
const maxTurns = 4096

// Picker orders candidates by policy and remembers whose turn it is. It is safe
// for concurrent use.
type Picker struct {
	mu    sync.Mutex
	rand  *mathrand.Rand
	turns map[string]uint64
}

// NewPicker returns a Picker that draws from rand, which it owns from then on;
// nil is one with a random seed.
func NewPicker(rand *mathrand.Rand) *Picker {
	if rand == nil {
		rand = randomlySeeded()
	}
	return &Picker{rand: rand, turns: make(map[string]uint64)}
}

// Order is [Order] with the chances and turns of the Picker. Turns are counted
// by service.
func (p *Picker) Order(service string, choice Choice, candidates []Candidate) ([]int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := Draw{Rand: p.rand, Key: choice.Key}
	if choice.Policy == RoundRobin {
		d.Turn = p.turn(service)
	}
	return Order(choice.Policy, candidates, d)
}

func (p *Picker) turn(service string) uint64 {
	t, ok := p.turns[service]
	if !ok && len(p.turns) >= maxTurns {
		clear(p.turns)
	}
	p.turns[service] = t + 1
	return t
}

func randomlySeeded() *mathrand.Rand {
	var seed [16]byte
	rand.Read(seed[:])
	return mathrand.New(mathrand.NewPCG(binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])))
}
