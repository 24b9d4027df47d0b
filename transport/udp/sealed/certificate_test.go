package sealed

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// authority is a CA of a test.
type authority struct {
	t    testing.TB
	key  ed25519.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key := ed25519.NewKeyFromSeed(fmt.Appendf(nil, "%-32s", name)[:32])
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return &authority{t: t, key: key, cert: parse(t, template, template, key.Public(), key)}
}

func parse(t testing.TB, template, parent *x509.Certificate, public any, key ed25519.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(nil, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (a *authority) trust() *identity.Trust {
	a.t.Helper()
	trust, err := identity.NewTrust([]*x509.Certificate{a.cert})
	if err != nil {
		a.t.Fatal(err)
	}
	return trust
}

// certify is node n's identity with a chain of at least size bytes that is valid
// until notAfter.
func (a *authority) certify(n, size int, notAfter time.Time) *identity.Local {
	a.t.Helper()
	name := fmt.Sprint(a.cert.Subject.CommonName, n, size, notAfter)
	if issued[name] == nil {
		issued[name] = a.issue(n, size, notAfter)
	}
	return issued[name]
}

// issued keeps what certify made: searching the size takes many signatures.
var issued = map[string]*identity.Local{}

func (a *authority) issue(n, size int, notAfter time.Time) *identity.Local {
	a.t.Helper()
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(n))
	key := identity.PrivateKeyFromSeed(seed)
	for pad := 0; ; pad += 20 {
		ca, chain := a, [][]byte(nil)
		for i := range min(2, pad/3000) { // a certificate has at most so many names
			ca = a.intermediate(i, 2000)
			chain = append(chain, ca.cert.Raw)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(n)), Subject: pkix.Name{CommonName: fmt.Sprintf("node%d", n), Organization: []string{strings.Repeat("x", min(pad, 60))}},
			NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: notAfter, KeyUsage: x509.KeyUsageDigitalSignature,
			URIs: []*url.URL{{Scheme: "mcc", Opaque: fmt.Sprintf("label:node%d", n)}, {Scheme: "mcc", Opaque: "perm:all"}},
		}
		for i := range max(0, pad-60) / 40 {
			template.URIs = append(template.URIs, &url.URL{Scheme: "mcc", Opaque: fmt.Sprintf("perm:register:service-number-%d", i)})
		}
		leaf := parse(a.t, template, ca.cert, key.Public(), ca.key)
		chain = append([][]byte{leaf.Raw}, chain...)
		cert, err := identity.CertificateFromDER(chain)
		if err != nil {
			a.t.Fatal(err)
		}
		if total(chain) < size {
			continue
		}
		id, err := identity.New(key, cert)
		if err != nil {
			a.t.Fatal(err)
		}
		return id
	}
}

func (a *authority) intermediate(n, size int) *authority {
	key := ed25519.NewKeyFromSeed(fmt.Appendf(nil, "%-32d", n)[:32])
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(n) + 100), Subject: pkix.Name{CommonName: fmt.Sprint("ca", n), Locality: []string{strings.Repeat("y", size)}},
		NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return &authority{t: a.t, key: key, cert: parse(a.t, template, a.cert, key.Public(), a.key)}
}

func total(chain [][]byte) (n int) {
	for _, der := range chain {
		n += len(der)
	}
	return n
}

// certified adds a node with a chain of at least size bytes.
func (w *world) certified(ca *authority, n, size int) *node {
	w.t.Helper()
	return w.add(n, Config{Identity: ca.certify(n, size, epoch.AddDate(1, 0, 0)), Trust: ca.trust()})
}

// longPair are two nodes whose chains fit into no packet.
func longPair(w *world) (a, b *node) {
	ca := newAuthority(w.t, "acme")
	return w.certified(ca, 1, 1500), w.certified(ca, 2, 2500)
}

func TestChainsBothWays(t *testing.T) {
	sizes := []int{0, 451, 700, 1025, 2048, 6000}
	for _, x := range sizes {
		for _, y := range sizes {
			for _, data := range []string{"q", strings.Repeat("q", transport.MaxEarlyRequest)} {
				t.Run(fmt.Sprint(x, y, len(data)), func(t *testing.T) { testChains(t, x, y, data) })
			}
		}
	}
}

func testChains(t *testing.T, x, y int, data string) {
	w := newWorld(t)
	ca := newAuthority(t, "acme")
	a, b := w.certified(ca, 1, x), w.certified(ca, 2, y)
	x, y = len(a.own().chain), len(b.own().chain)
	want := rtt
	if 32+3+x+1+8+2+len(data) > initPayload || 3+y+1+7+3+len(data) > respPayload {
		want = 2 * rtt
	}
	if got := a.ask(b.contact(), data, true); got != want {
		t.Errorf("chains of %d and %d bytes: first call took %v, want %v", x, y, got, want)
	}
	w.run(time.Second)
	for i, who := range []*node{a, b} {
		other := w.nodes[1-i]
		if got := who.ask(other.contact(), data, false); got != rtt {
			t.Errorf("later call took %v", got)
		}
		peer := who.peers[other.id.ID()].current.who
		if peer.Consortium != "acme" || peer.Label != fmt.Sprintf("node%d", 2-i) || !peer.May("call:x") {
			t.Errorf("peer %+v", peer)
		}
	}
	// The chains are known now: the next handshake takes one round trip, and
	// nothing is fetched.
	served := a.count(chainsServed) + b.count(chainsServed)
	for _, nd := range w.nodes {
		for _, s := range nd.sessions {
			nd.drop(w.now, s)
		}
	}
	if got := a.ask(b.contact(), data, true); got != rtt {
		t.Errorf("second handshake took %v", got)
	}
	if a.count(chainsServed)+b.count(chainsServed) != served {
		t.Error("a known chain was fetched")
	}
}

func TestShortChainLeavesRoom(t *testing.T) {
	w := newWorld(t)
	ca := newAuthority(t, "acme")
	a, b := w.certified(ca, 1, 0), w.certified(ca, 2, 0)
	if n := len(b.own().chain); n > inlineChain {
		t.Fatalf("a minimal certificate has %d bytes", n)
	}
	b.handle = func(r Request) ([]byte, bool) { return make([]byte, r.MaxAnswer), true }
	r := a.await(a.call(b.contact(), "q", true))
	if want := respPayload - 3 - len(b.own().chain) - 1 - 7; r.Err != nil || len(r.Answer.Data) != want {
		t.Errorf("answer of %d bytes, want %d: %v", len(r.Answer.Data), want, r.Err)
	}
	if took := w.now.Sub(epoch); took != rtt {
		t.Errorf("took %v", took)
	}
}

func TestUntrusted(t *testing.T) {
	ours, theirs := newAuthority(t, "acme"), newAuthority(t, "evil")
	later := epoch.AddDate(1, 0, 0)
	for _, size := range []int{0, 2500} {
		for _, test := range []struct {
			name string
			cfg  Config
			want error
		}{
			{"foreign CA", Config{Identity: theirs.certify(2, size, later), Trust: theirs.trust()}, identity.ErrUntrusted},
			{"foreign CA that trusts ours", Config{Identity: theirs.certify(2, size, later), Trust: ours.trust()}, identity.ErrUntrusted},
			{"expired", Config{Identity: ours.certify(2, size, epoch.Add(-time.Hour)), Trust: ours.trust()}, identity.ErrExpired},
			{"self-signed", Config{Identity: seeded(t, 2), Trust: ours.trust()}, identity.ErrUntrusted},
			{"none", Config{Identity: seeded(t, 2)}, errNoCertificate},
		} {
			for _, good := range []int{0, 2500} {
				t.Run(fmt.Sprint(test.name, size, good), func(t *testing.T) {
					w := newWorld(t)
					a, b := w.certified(ours, 1, good), w.add(2, test.cfg)
					checkRefused(t, a, b, test.want)
				})
			}
		}
	}
}

// checkRefused has the good node a and the bad node b call each other.
func checkRefused(t *testing.T, a, b *node, want error) {
	t.Helper()
	executed, sessions := len(a.requests), len(a.Peers())
	for _, idempotent := range []bool{true, false} {
		r := a.await(a.call(b.contact(), "q", idempotent))
		// The bad node's own trust may come first; it says nothing then.
		if !errors.Is(r.Err, transport.ErrUntrusted) && !errors.Is(r.Err, transport.ErrNoAnswer) {
			t.Errorf("good to bad: %+v", r)
		}
		if errors.Is(r.Err, transport.ErrUntrusted) && !errors.Is(r.Err, want) {
			t.Errorf("good to bad: %v, want %v", r.Err, want)
		}
		r = b.await(b.call(a.contact(), "q", idempotent))
		if !errors.Is(r.Err, transport.ErrNoAnswer) && !errors.Is(r.Err, transport.ErrUntrusted) {
			t.Errorf("bad to good: %+v", r)
		}
	}
	if len(a.requests) != executed {
		t.Errorf("%d requests of the bad node were executed", len(a.requests))
	}
	if b.count(refusedPeers) > 0 && len(a.refused) == 0 {
		return // the bad node was first: it does not show its chain
	}
	if len(a.refused) == 0 || a.refused[0].ID != b.id.ID() || a.refused[0].Addr != b.addr || !errors.Is(a.refused[0].Err, want) {
		t.Errorf("refused %+v", a.refused)
	}
	if len(a.Peers()) != sessions {
		t.Error("the good node has a session with the bad one")
	}
}

// TestSomebodyElsesChain presents a certificate that is sound but of another
// key.
func TestSomebodyElsesChain(t *testing.T) {
	ca := newAuthority(t, "acme")
	for _, size := range []int{0, 2500} {
		w := newWorld(t)
		a := w.certified(ca, 1, 0)
		thief := impostor{Identity: seeded(t, 2), cert: ca.certify(3, size, epoch.AddDate(1, 0, 0)).Certificate()}
		b := w.add(2, Config{Identity: thief, Trust: ca.trust()})
		checkRefused(t, a, b, errOtherKey)
		// Also once the victim's chain is known.
		c := w.certified(ca, 3, size)
		c.ask(a.contact(), "q", true)
		w.run(rtt)
		checkRefused(t, a, b, errOtherKey)
	}
}

// impostor holds one key and shows another's certificate.
type impostor struct {
	identity.Identity
	cert *identity.Certificate
}

func (i impostor) Certificate() *identity.Certificate { return i.cert }

// TestNegatedID claims the other id that has the same X25519 key.
func TestNegatedID(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	to := b.contact()
	to.ID[31] ^= 0x80
	if r := a.await(a.call(to, "q", true)); !errors.Is(r.Err, transport.ErrPeerMismatch) {
		t.Errorf("called the negated id: %+v", r)
	}
	if b.count(handshakesAnswered) != 0 || len(b.requests) != 0 {
		t.Error("a handshake with the negated id was answered")
	}
	// A forged HELLO-ANSWER that negates the id, with the MAC put right, must
	// not lead to a session under the wrong name.
	w.filter = func(f flight) []flight {
		switch f.data[0] {
		case typeHelloAnswer:
			f.data[headSize+nonceSize+31] ^= 0x80
		case typeInit:
			seal1(f.data, mac1Key(b.id.ID()))
		}
		return []flight{f}
	}
	if r := a.await(a.call(transport.Contact{Addr: b.addr}, "q", true)); r.Err == nil {
		t.Errorf("session with %s", r.Answer.Peer.ID)
	}
}

func TestCertificateExpiryEndsSession(t *testing.T) {
	w := newWorld(t)
	ca := newAuthority(t, "acme")
	a := w.certified(ca, 1, 0)
	b := w.add(2, Config{Identity: ca.certify(2, 600, epoch.Add(10*time.Minute)), Trust: ca.trust()})
	a.ask(b.contact(), "q", true)
	for w.now.Before(epoch.Add(9*time.Minute + 20*time.Second)) {
		w.run(30 * time.Second)
		a.ask(b.contact(), "alive", false)
		b.ask(a.contact(), "alive", false)
	}
	w.run(time.Minute)
	if len(a.sessions) != 0 {
		t.Error("the session outlived the certificate")
	}
	executed := len(a.requests)
	r := b.await(b.call(a.contact(), "late", false))
	if r.Err == nil || len(a.requests) != executed {
		t.Errorf("result %+v", r)
	}
	if r := a.await(a.call(b.contact(), "late", true)); !errors.Is(r.Err, identity.ErrExpired) {
		t.Errorf("result %+v", r)
	}
}

// TestCachedChainExpires knows a chain by its hash and still looks at the date.
func TestCachedChainExpires(t *testing.T) {
	ca := newAuthority(t, "acme")
	id := ca.certify(2, 600, epoch.Add(time.Minute))
	v := newVerifier(ca.trust())
	own := ownCredential{}
	e := &Endpoint{cfg: Config{Identity: id}, mine: own}
	c := credential{kind: credentialHash, hash: e.own().hash, size: len(e.own().chain)}
	if p, err := v.check(epoch, id.ID(), c); p != nil || err != nil {
		t.Errorf("unknown hash: %v, %v", p, err)
	}
	if p, err := v.checkChain(epoch, id.ID(), e.own().chain); p == nil || err != nil {
		t.Fatal(err)
	}
	if p, err := v.check(epoch, id.ID(), c); p == nil || err != nil {
		t.Errorf("known hash: %v, %v", p, err)
	}
	if p, _ := v.check(epoch.Add(2*time.Minute), id.ID(), c); p != nil {
		t.Error("an expired chain counts")
	}
}

func TestRenewedCertificate(t *testing.T) {
	w := newWorld(t)
	ca := newAuthority(t, "acme")
	a := w.certified(ca, 1, 0)
	renewing := &impostor{Identity: seeded(t, 2), cert: ca.certify(2, 0, epoch.Add(time.Hour)).Certificate()}
	b := w.add(2, Config{Identity: renewing, Trust: ca.trust()})
	b.ask(a.contact(), "q", true)
	renewing.cert = ca.certify(2, 600, epoch.AddDate(1, 0, 0)).Certificate()
	w.run(2 * time.Hour)
	b.ask(a.contact(), "r", true)
}

// TestUncertifiedSession sends everything into a session whose peer is not
// authorised yet.
func TestUncertifiedSession(t *testing.T) {
	w := newWorld(t)
	a, b := longPair(w)
	w.filter = func(f flight) []flight {
		if f.from == a.addr && f.data[0] == typeData {
			return nil // a's chain never gets through
		}
		return []flight{f}
	}
	a.call(b.contact(), "early", true)
	w.run(3 * oneWay)
	s := a.peers[b.id.ID()].pending
	for _, f := range []frame{
		{kind: frameRequest, number: 7, data: []byte("now")},
		{kind: frameAnswer, observed: a.addr},
		{kind: frameWorking},
		{kind: frameChallenge},
		{kind: frameEcho},
	} {
		b.Receive(w.now, a.addr, a.seal(nil, s, f), &b.out)
		b.settle()
	}
	if len(b.requests) != 0 || b.count(droppedUncertified) != 5 {
		t.Errorf("%d requests, %d dropped", len(b.requests), b.count(droppedUncertified))
	}
	w.run(fetchLife + time.Second)
	if len(b.sessions) != 0 || len(b.refused) != 1 || b.refused[0].Err != errNoChain {
		t.Errorf("%d sessions, refused %v", len(b.sessions), b.refused)
	}
}

func TestWrongChainParts(t *testing.T) {
	w := newWorld(t)
	a, b := longPair(w)
	w.filter = func(f flight) []flight { // the sound parts do not arrive
		if f.data[0] == typeData {
			return nil
		}
		return []flight{f}
	}
	id := a.call(b.contact(), "q", true)
	w.run(2*oneWay + time.Millisecond)
	s := b.peers[a.id.ID()].sessions[0]
	r := a.peers[b.id.ID()].pending
	for _, f := range []frame{
		{kind: frameChainPart, index: 15, data: []byte{1}},
		{kind: frameChainPart, index: 0, data: []byte{1}},
		{kind: frameChainPart, index: 2, data: make([]byte, partSize)},
	} {
		a.Receive(w.now, b.addr, b.seal(nil, s, f), &a.out)
	}
	if a.count(droppedUnexpected) != 3 || r.fetch.missing != partsOf(len(b.own().chain)) {
		t.Errorf("%d dropped, missing %b", a.count(droppedUnexpected), r.fetch.missing)
	}
	for i := range 3 {
		size := min(partSize, len(b.own().chain)-i*partSize)
		a.Receive(w.now, b.addr, b.seal(nil, s, frame{kind: frameChainPart, index: uint8(i), data: make([]byte, size)}), &a.out)
	}
	a.settle()
	if got := a.results[id].Err; !errors.Is(got, transport.ErrUntrusted) || !errors.Is(got, errBadChain) {
		t.Errorf("result %v", got)
	}
}

func TestServedPartsAreBounded(t *testing.T) {
	w := newWorld(t)
	a, b := longPair(w)
	a.ask(b.contact(), "q", true)
	w.run(rtt)
	s := a.peers[b.id.ID()].current
	before := len(w.log)
	for range 200 {
		a.sendFrame(s, frame{kind: frameChainGet, parts: allParts}, &a.out)
	}
	a.settle()
	w.run(time.Second)
	if n := len(w.log) - before - 200; n > maxServed {
		t.Errorf("%d parts served", n)
	}
}

func TestPartsOf(t *testing.T) {
	for size, want := range map[int]uint16{1: 1, 1024: 1, 1025: 3, 2048: 3, 16384: 0xFFFF, 15361: 0xFFFF, 15360: 0x7FFF} {
		if got := partsOf(size); got != want {
			t.Errorf("%d bytes: %b, want %b", size, got, want)
		}
	}
}

func TestFetchesAreBounded(t *testing.T) {
	w := newWorld(t)
	a, b := longPair(w)
	b.fetching = maxFetching
	id := a.call(b.contact(), "q", true)
	for range 20 {
		if !w.step(w.now.Add(10 * oneWay)) {
			break
		}
	}
	b.fetching = 0
	if b.count(droppedBusy) == 0 || len(b.requests) != 0 {
		t.Errorf("%d dropped, %d requests", b.count(droppedBusy), len(b.requests))
	}
	if r := a.await(id); r.Err != nil {
		t.Errorf("once there is room: %v", r.Err)
	}
}
