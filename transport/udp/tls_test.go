package udp

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/identity/ca"
	"github.com/staex-mcc/mcc/transport"
)

// consortium is a CA and what it takes to be a node of it.
type consortium struct {
	ca    *ca.CA
	trust *identity.Trust
}

func newConsortium(t testing.TB, name string) consortium {
	t.Helper()
	authority, err := ca.New(ca.Options{Consortium: name, Now: time.Now().Add(-48 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := identity.NewTrust([]*x509.Certificate{authority.Certificate()})
	if err != nil {
		t.Fatal(err)
	}
	return consortium{authority, trust}
}

// member is an identity with a certificate that begins at start (zero: now) and
// lasts for life.
func (c consortium) member(t testing.TB, label string, start time.Time, life time.Duration) identity.Identity {
	t.Helper()
	key := identity.PrivateKeyFromSeed(sha256.Sum256([]byte(label)))
	der, err := identity.CreateRequest(key, label)
	if err != nil {
		t.Fatal(err)
	}
	req, err := identity.ParseRequest(identity.EncodeRequestPEM(der))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := c.ca.Sign(req, ca.Leaf{NotBefore: start, Lifetime: life, Permissions: identity.Permissions{"route"}})
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.New(key, cert)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestTrust dials between nodes that do and do not trust each other.
func TestTrust(t *testing.T) {
	acme, evil := newConsortium(t, "acme"), newConsortium(t, "evil")
	both, err := identity.NewTrust([]*x509.Certificate{acme.ca.Certificate(), evil.ca.Certificate()})
	if err != nil {
		t.Fatal(err)
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	good := transport.Config{Identity: acme.member(t, "good", time.Time{}, time.Hour), Trust: acme.trust}
	for _, tt := range []struct {
		name           string
		dialer, server transport.Config
		want           error
	}{
		{"same CA", transport.Config{Identity: acme.member(t, "friend", time.Time{}, time.Hour), Trust: acme.trust}, good, nil},
		{"dialer of another CA, server's trusted", transport.Config{Identity: evil.member(t, "mallory", time.Time{}, time.Hour), Trust: both}, good, transport.ErrUntrusted},
		{"server of another CA", good, transport.Config{Identity: evil.member(t, "mallory", time.Time{}, time.Hour), Trust: both}, transport.ErrUntrusted},
		{"two CAs trusted", transport.Config{Identity: acme.member(t, "friend", time.Time{}, time.Hour), Trust: both}, transport.Config{Identity: evil.member(t, "ally", time.Time{}, time.Hour), Trust: both}, nil},
		{"expired dialer", transport.Config{Identity: acme.member(t, "old", yesterday, time.Hour), Trust: acme.trust}, good, transport.ErrUntrusted},
		{"expired server", good, transport.Config{Identity: acme.member(t, "old", yesterday, time.Hour), Trust: acme.trust}, transport.ErrUntrusted},
		{"self-signed dialer", transport.Config{Identity: someone(t, "selfmade")}, good, transport.ErrUntrusted},
		{"self-signed server", good, transport.Config{Identity: someone(t, "selfmade")}, transport.ErrUntrusted},
		{"open mesh", transport.Config{Identity: someone(t, "one")}, transport.Config{Identity: someone(t, "two")}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := nodeWith(t, Options{}, tt.dialer), nodeWith(t, Options{}, tt.server)
			if tt.want == nil {
				connected(t, a, b)
				return
			}
			for range 2 { // the second finds no connection left over
				_, err := a.Dial(limit(t), b.Local(), transport.Open{Protocol: "test"})
				want(t, "dial", err, tt.want)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			if o, err := b.Accept(ctx); err == nil {
				t.Errorf("the server was offered a stream of %v", o.Peer())
			}
			for _, n := range []*Transport{a, b} {
				if p := n.Peers(); len(p) != 0 {
					t.Errorf("a session is left: %+v", p)
				}
			}
		})
	}
}

func TestAnotherNodeAnswers(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	to := b.Local()
	to.ID = someone(t, "carol").ID()
	_, err := a.Dial(limit(t), to, transport.Open{Protocol: "test"})
	want(t, "dial", err, transport.ErrPeerMismatch)
	connected(t, a, b)
}

// TestForeignClients dials without what the protocol asks for.
func TestForeignClients(t *testing.T) {
	b := node(t, "bob")
	rsa := someone(t, "stranger")
	for name, conf := range map[string]*tls.Config{
		"no certificate": {NextProtos: []string{alpn}},
		"no protocol":    {Certificates: []tls.Certificate{identity.TLSCertificate(rsa)}},
		"other protocol": {Certificates: []tls.Certificate{identity.TLSCertificate(rsa)}, NextProtos: []string{"h3"}},
	} {
		conf.InsecureSkipVerify = true
		tr := &quic.Transport{Conn: udpSocket(t)}
		conn, err := tr.Dial(limit(t), net.UDPAddrFromAddrPort(b.local), conf, nil)
		if err == nil {
			_, err = conn.AcceptStream(limit(t)) // the server's verdict comes after
		}
		var te *quic.TransportError
		if !errors.As(err, &te) || !te.Remote || !te.ErrorCode.IsCryptoError() {
			t.Errorf("%s: got %v, want a TLS alert", name, err)
		}
		tr.Close()
	}
	if n := counter(t, b, "conns_accepted"); n != 0 {
		t.Errorf("%d connections were accepted", n)
	}
	connected(t, node(t, "alice"), b)
}

// TestVerify: crypto/tls sees to these too, but is not who has to.
func TestVerify(t *testing.T) {
	a := &authenticator{}
	id := someone(t, "alice")
	good := tls.ConnectionState{
		Version: tls.VersionTLS13, NegotiatedProtocol: alpn,
		PeerCertificates: []*x509.Certificate{id.Certificate().Leaf()},
	}
	var hs handshake
	if err := a.verify(good, id.ID(), &hs); err != nil || hs.peer.Load().ID != id.ID() {
		t.Fatalf("%v, %v", hs.peer.Load(), err)
	}
	for what, spoil := range map[string]func(*tls.ConnectionState){
		"TLS 1.2":        func(cs *tls.ConnectionState) { cs.Version = tls.VersionTLS12 },
		"protocol":       func(cs *tls.ConnectionState) { cs.NegotiatedProtocol = "h3" },
		"no certificate": func(cs *tls.ConnectionState) { cs.PeerCertificates = nil },
	} {
		bad, hs := good, handshake{}
		spoil(&bad)
		if err := a.verify(bad, identity.ID{}, &hs); err == nil || hs.peer.Load() != nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

// TestNoResumption: a session ticket would outlive a revocation.
func TestNoResumption(t *testing.T) {
	b := node(t, "bob")
	conf := &tls.Config{
		Certificates: []tls.Certificate{identity.TLSCertificate(someone(t, "alice"))},
		NextProtos:   []string{alpn}, InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(4), ServerName: "bob",
	}
	for range 2 {
		tr := &quic.Transport{Conn: udpSocket(t)}
		conn, err := tr.Dial(limit(t), net.UDPAddrFromAddrPort(b.local), conf, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := conn.OpenStreamSync(limit(t))
		if err != nil {
			t.Fatal(err)
		}
		s.Write(appendOpen(nil, transport.Open{Protocol: "x"}))
		o, err := b.Accept(limit(t)) // the handshake is confirmed, tickets would have come
		if err != nil {
			t.Fatal(err)
		}
		o.Refuse(transport.ReasonNotFound, "")
		if err := readAnswer(s); err == nil {
			t.Fatal("accepted")
		}
		if conn.ConnectionState().TLS.DidResume {
			t.Error("the session was resumed")
		}
		tr.Close()
	}
}

func TestServerName(t *testing.T) {
	name := serverName(someone(t, "alice").ID())
	if len(name) != 52+len(".mcc.invalid") {
		t.Errorf("server name %q has %d bytes", name, len(name))
	}
	if name == serverName(someone(t, "bob").ID()) {
		t.Error("two ids share a name")
	}
}

// TestRefusalsAreLoggedRarely dials often from one address.
func TestRefusalsAreLoggedRarely(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	acme := newConsortium(t, "acme")
	b := nodeWith(t, Options{}, transport.Config{
		Identity: acme.member(t, "bob", time.Time{}, time.Hour), Trust: acme.trust, Logger: zap.New(core),
	})
	a := node(t, "mallory")
	for counter(t, b, "certs_refused") < 3 {
		_, err := a.Dial(limit(t), b.Local(), transport.Open{Protocol: "test"})
		want(t, "dial", err, transport.ErrUntrusted)
	}
	if n := logs.Len(); n != 1 {
		t.Errorf("logged %d times: %v", n, logs.All())
	}
}

func TestRefusalsAgain(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	r := newRefusals(zap.New(core), &counts{})
	now := time.Now()
	one, two := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:1")
	for _, n := range []struct {
		from netip.AddrPort
		at   time.Duration
		want int
	}{
		{one, 0, 1},
		{one, time.Second, 1},
		{netip.AddrPortFrom(one.Addr(), 2), time.Second, 1},
		{two, time.Second, 2},
		{one, time.Minute, 3},
	} {
		r.note(n.from, errors.New("bad"), now.Add(n.at))
		if logs.Len() != n.want {
			t.Errorf("%s after %v: %d lines, want %d", n.from, n.at, logs.Len(), n.want)
		}
	}
}

func TestResetKey(t *testing.T) {
	a, err := resetKey(someone(t, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	again, _ := resetKey(someone(t, "alice"))
	other, _ := resetKey(someone(t, "bob"))
	if *a != *again || *a == *other || *a == (quic.StatelessResetKey{}) {
		t.Error("the key must depend on the identity and on nothing else")
	}
}

func TestGate(t *testing.T) {
	now := time.Now()
	g := newGate(10)
	pass := func(at time.Duration, n int) (passed int) {
		for range n {
			if g.pass(now.Add(at)) {
				passed++
			}
		}
		return passed
	}
	for _, tt := range []struct {
		at      time.Duration
		n, want int
	}{{0, 100, 10}, {time.Second / 2, 100, 5}, {time.Hour, 100, 10}} {
		if got := pass(tt.at, tt.n); got != tt.want {
			t.Errorf("after %v: %d passed, want %d", tt.at, got, tt.want)
		}
	}
}
