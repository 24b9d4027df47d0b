package sealed

import (
	"testing"
	"time"

	"github.com/flynn/noise"

	"github.com/staex-mcc/mcc/transport"
)

// pair are two endpoints that a benchmark moves packets between by hand.
type pair struct {
	a, b     *Endpoint
	to       transport.Contact
	from     transport.Contact
	outA     Actions
	outB     Actions
	now      time.Time
	answered int
}

func newPair(b testing.TB) *pair {
	p := &pair{now: epoch}
	var err error
	if p.a, err = New(Config{Identity: seeded(b, 1), HandshakeRate: 1 << 30}); err != nil {
		b.Fatal(err)
	}
	if p.b, err = New(Config{Identity: seeded(b, 2), HandshakeRate: 1 << 30}); err != nil {
		b.Fatal(err)
	}
	p.from = transport.Contact{ID: p.a.cfg.Identity.ID(), Addr: address(1)}
	p.to = transport.Contact{ID: p.b.cfg.Identity.ID(), Addr: address(2)}
	return p
}

// call runs one call to its end.
func (p *pair) call(b testing.TB, data, answer []byte, idempotent bool) {
	if _, err := p.a.Call(p.now, p.to, transport.Request{Data: data, Idempotent: idempotent}, 0, &p.outA); err != nil {
		b.Fatal(err)
	}
	for len(p.outA.Sends)+len(p.outB.Sends) > 0 {
		for _, s := range p.outA.Sends {
			p.b.Receive(p.now, p.from.Addr, s.Data, &p.outB)
		}
		for _, r := range p.outB.Requests {
			if err := p.b.Answer(p.now, r.Ticket, answer, &p.outB); err != nil {
				b.Fatal(err)
			}
		}
		p.outA.Reset()
		for _, s := range p.outB.Sends {
			p.a.Receive(p.now, p.to.Addr, s.Data, &p.outA)
		}
		p.outB.Reset()
		p.answered += len(p.outA.Results)
	}
}

// BenchmarkWarmCall is a call in a session, both ends together.
func BenchmarkWarmCall(b *testing.B) {
	for _, idempotent := range []bool{true, false} {
		name := map[bool]string{true: "idempotent", false: "changing"}[idempotent]
		b.Run(name, func(b *testing.B) {
			p := newPair(b)
			data, answer := make([]byte, 100), make([]byte, 800)
			p.call(b, data, answer, true)
			b.ReportAllocs()
			for b.Loop() {
				p.now = p.now.Add(20 * time.Microsecond)
				p.call(b, data, answer, idempotent)
			}
			if p.answered != b.N+1 {
				b.Errorf("%d of %d answered", p.answered, b.N)
			}
		})
	}
}

// BenchmarkFirstCall is a call to a stranger, both ends together: a handshake
// with a request in it.
func BenchmarkFirstCall(b *testing.B) {
	p := newPair(b)
	data, answer := make([]byte, 100), make([]byte, 800)
	b.ReportAllocs()
	for b.Loop() {
		p.now = p.now.Add(time.Second)
		for _, e := range []*Endpoint{p.a, p.b} {
			for _, s := range e.sessions {
				e.drop(p.now, s)
			}
		}
		p.call(b, data, answer, true)
	}
}

// BenchmarkRespond is what a handshake costs the responder.
func BenchmarkRespond(b *testing.B) {
	p := newPair(b)
	if _, err := p.a.Call(p.now, p.to, transport.Request{Idempotent: false}, 0, &p.outA); err != nil {
		b.Fatal(err)
	}
	init := p.outA.Sends[0].Data
	b.ReportAllocs()
	for b.Loop() {
		p.outB.Reset()
		p.b.Receive(p.now, p.from.Addr, init, &p.outB)
		for _, s := range p.b.sessions {
			p.b.drop(p.now, s)
		}
		p.now = p.now.Add(time.Second)
	}
}

// BenchmarkJunk is what a packet costs that only looks like an INIT.
func BenchmarkJunk(b *testing.B) {
	p := newPair(b)
	junk := appendInit(nil, 1, make([]byte, initMessage))
	b.ReportAllocs()
	for b.Loop() {
		p.b.Receive(p.now, p.from.Addr, junk, &p.outB)
	}
}

// BenchmarkPlainNoise is Noise IK by the noise package alone, both ends, to set
// the figures of BenchmarkFirstCall in relation.
func BenchmarkPlainNoise(b *testing.B) {
	cs := noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashBLAKE2s)
	one, _ := noise.DH25519.GenerateKeypair(nil)
	two, _ := noise.DH25519.GenerateKeypair(nil)
	b.ReportAllocs()
	for b.Loop() {
		i, _ := noise.NewHandshakeState(noise.Config{CipherSuite: cs, Pattern: noise.HandshakeIK, Initiator: true, StaticKeypair: one, PeerStatic: two.Public})
		r, _ := noise.NewHandshakeState(noise.Config{CipherSuite: cs, Pattern: noise.HandshakeIK, StaticKeypair: two})
		m, _, _, _ := i.WriteMessage(nil, make([]byte, initPayload))
		r.ReadMessage(nil, m)
		m, _, _, _ = r.WriteMessage(nil, make([]byte, 800))
		if _, _, _, err := i.ReadMessage(nil, m); err != nil {
			b.Fatal(err)
		}
	}
}
