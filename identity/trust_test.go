package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVerifyUnderCA(t *testing.T) {
	root := newRoot(t, 1, caTemplate("root cn", "mcc:consortium:acme"))
	c := root.issue(t, 2, leafTemplate("mcc:label:web", "mcc:perm:route", "mcc:perm:register:w*"))
	got, err := trusting(t, root).Verify(c, testNow)
	if err != nil {
		t.Fatal(err)
	}
	want := &Peer{ID: c.ID(), Label: "web", Consortium: "acme", Permissions: Permissions{"route", "register:w*"}, NotAfter: c.NotAfter()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("peer (-want +got):\n%s", diff)
	}
	if got.May("admin") || !got.May("register:web") {
		t.Error("the permissions are not the certificate's")
	}
}

func TestVerifyOpenMesh(t *testing.T) {
	empty, err := NewTrust(nil)
	if err != nil {
		t.Fatal(err)
	}
	expired := leafTemplate("mcc:label:old", "mcc:perm:admin", "mcc:consortium:acme")
	expired.NotAfter = testNow.Add(-time.Minute)
	c := newRoot(t, 1, caTemplate("acme")).issue(t, 2, expired)
	for name, tr := range map[string]*Trust{"nil": nil, "no roots": empty, "zero": {}} {
		p, err := tr.Verify(c, testNow)
		if err != nil || !tr.Open() {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(&Peer{ID: c.ID(), Label: "old", Permissions: OpenPermissions()}, p); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if trusting(t, newRoot(t, 1, caTemplate("acme"))).Open() {
		t.Error("a trust with a root is open")
	}
}

func TestVerifyNothing(t *testing.T) {
	for _, tr := range []*Trust{nil, trusting(t, newRoot(t, 1, caTemplate("acme")))} {
		for _, c := range []*Certificate{nil, {}} {
			if _, err := tr.Verify(c, testNow); !errors.Is(err, ErrBadCertificate) {
				t.Errorf("got %v", err)
			}
		}
	}
}

func TestOpenPeer(t *testing.T) {
	id := localOf(t, 1, "a").ID()
	for label, want := range map[string]string{"web": "web", "Web-1": "web1", "": "", "--": "", strings.Repeat("a", 31): ""} {
		if p := OpenPeer(id, label); p.Label != want || p.ID != id || p.Consortium != "" || p.May("relay") || !p.May("call:x") {
			t.Errorf("OpenPeer(%q) = %+v", label, p)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	root := newRoot(t, 1, caTemplate("acme"))
	tr := trusting(t, root)
	foreign := newRoot(t, 50, caTemplate("acme")) // same name, another key
	other := func(change func(*x509.Certificate)) *x509.Certificate {
		c := leafTemplate("mcc:label:web")
		change(c)
		return c
	}
	mid := root.below(t, 60, caTemplate("mid"))
	capped := caTemplate("capped")
	capped.MaxPathLenZero = true
	short := root.below(t, 61, capped)
	deep := short.below(t, 62, caTemplate("deep"))
	serverOnly := caTemplate("server only")
	serverOnly.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	servers := root.below(t, 63, serverOnly)
	old := caTemplate("old")
	old.NotAfter = testNow.Add(-time.Minute)
	lapsed := root.below(t, 64, old)
	stray := root.below(t, 65, caTemplate("stray", "mcc:consortium:evil"))
	self := localOf(t, 9, "self").Certificate()
	for _, tt := range []struct {
		name string
		cert *Certificate
		err  error
		want string
	}{
		{"self-signed", self, ErrUntrusted, `issued by "self"`},
		{"foreign CA", foreign.issue(t, 2, leafTemplate()), ErrUntrusted, "unknown authority"},
		{"foreign CA brought along", foreign.issue(t, 2, leafTemplate(), foreign), ErrUntrusted, "unknown authority"},
		{"other consortium", root.issue(t, 2, leafTemplate("mcc:consortium:evil")), ErrUntrusted, `consortium "evil", but its CA is of "acme"`},
		{"intermediate of other consortium", stray.issue(t, 2, leafTemplate(), stray), ErrUntrusted, `"evil"`},
		{"expired", root.issue(t, 2, other(func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Second) })), ErrExpired, "2026-11-22T11:59:59Z"},
		{"early", root.issue(t, 2, other(func(c *x509.Certificate) { c.NotBefore = testNow.Add(121 * time.Second) })), ErrExpired, "2026-11-22T12:02:01Z"},
		{"intermediate missing", mid.issue(t, 2, leafTemplate()), ErrUntrusted, `issued by "mid"`},
		{"path length", deep.issue(t, 2, leafTemplate(), deep, short), ErrUntrusted, "too many intermediates"},
		{"server CA", servers.issue(t, 2, leafTemplate(), servers), ErrUntrusted, `CA "server only"`},
		{"intermediate expired", lapsed.issue(t, 2, leafTemplate(), lapsed), ErrExpired, `CA "old"`},
	} {
		p, err := tr.Verify(tt.cert, testNow)
		if p != nil || !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %v with %q", tt.name, err, tt.err, tt.want)
		}
		if err != nil && !strings.Contains(err.Error(), tt.cert.ID().String()) {
			t.Errorf("%s: %v does not say whose", tt.name, err)
		}
	}
}

// TestLeafAsIssuer: a node's certificate issues nothing, even with its key.
func TestLeafAsIssuer(t *testing.T) {
	root := newRoot(t, 1, caTemplate("acme"))
	node := root.below(t, 2, leafTemplate("mcc:label:node"))
	forged := sign(t, leafTemplate("mcc:label:forged", "mcc:perm:all"), node.cert, PrivateKeyFromSeed(seed(3)).Public(), node.key)
	if _, err := CertificateFromDER([][]byte{forged.Raw, node.cert.Raw}); !errors.Is(err, ErrBadCertificate) {
		t.Errorf("chain with a leaf between: %v", err)
	}
	alone, err := CertificateFromDER([][]byte{forged.Raw})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trusting(t, root).Verify(alone, testNow); !errors.Is(err, ErrUntrusted) {
		t.Errorf("signed by a node: %v", err)
	}
}

// TestTamperedSignature flips each byte of the signature and of the label.
func TestTamperedSignature(t *testing.T) {
	root := newRoot(t, 1, caTemplate("acme"))
	tr := trusting(t, root)
	der := root.issue(t, 2, leafTemplate("mcc:label:web")).Chain()[0]
	for i := len(der) - 64; i < len(der); i++ {
		der[i] ^= 1
		c, err := CertificateFromDER([][]byte{der})
		if err == nil {
			_, err = tr.Verify(c, testNow)
		}
		if err == nil {
			t.Errorf("byte %d of the signature does not matter", i)
		}
		der[i] ^= 1
	}
	at := strings.Index(string(der), "mcc:label:web") + len("mcc:label:")
	der[at] = 'x'
	c, err := CertificateFromDER([][]byte{der})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Verify(c, testNow); c.Label() != "xeb" || !errors.Is(err, ErrUntrusted) {
		t.Errorf("changed label %q: %v", c.Label(), err)
	}
}

func TestVerifyChains(t *testing.T) {
	root := newRoot(t, 1, caTemplate("acme"))
	one := root.below(t, 2, caTemplate("one", "mcc:consortium:acme"))
	two := one.below(t, 3, caTemplate("two"))
	tr := trusting(t, root)
	for name, c := range map[string]*Certificate{
		"one":       one.issue(t, 4, leafTemplate("mcc:consortium:acme"), one),
		"with root": one.issue(t, 4, leafTemplate(), one, root),
		"two":       two.issue(t, 4, leafTemplate(), two, one),
		"any order": two.issue(t, 4, leafTemplate(), root, one, two),
	} {
		if p, err := tr.Verify(c, testNow); err != nil || p.Consortium != "acme" {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	if p, err := trusting(t, one).Verify(one.issue(t, 4, leafTemplate()), testNow); err != nil || p.Consortium != "acme" {
		t.Errorf("an intermediate as root: %v, %v", p, err)
	}
}

func TestSeveralRoots(t *testing.T) {
	acme, bolt := newRoot(t, 1, caTemplate("acme")), newRoot(t, 2, caTemplate("x", "mcc:consortium:bolt"))
	renewed := newRoot(t, 3, caTemplate("acme"))
	tr := trusting(t, acme, bolt, renewed)
	for want, root := range map[string]authority{"acme": acme, "bolt": bolt} {
		if p, err := tr.Verify(root.issue(t, 4, leafTemplate()), testNow); err != nil || p.Consortium != want {
			t.Errorf("%s: %v, %v", want, p, err)
		}
	}
	if p, err := tr.Verify(renewed.issue(t, 4, leafTemplate()), testNow); err != nil || p.Consortium != "acme" {
		t.Errorf("renewed CA: %v, %v", p, err)
	}
	// A CA may not speak for its neighbour.
	if _, err := tr.Verify(bolt.issue(t, 4, leafTemplate("mcc:consortium:acme")), testNow); !errors.Is(err, ErrUntrusted) {
		t.Errorf("bolt certifies for acme: %v", err)
	}
}

// TestCrossSigned: one intermediate key certified by two trusted roots; the
// leaf's own claim picks the way.
func TestCrossSigned(t *testing.T) {
	a, b := newRoot(t, 1, caTemplate("a")), newRoot(t, 2, caTemplate("b"))
	underA, underB := a.below(t, 3, caTemplate("mid")), b.below(t, 3, caTemplate("mid"))
	tr := trusting(t, a, b)
	for _, want := range []string{"a", "b"} {
		c := underA.issue(t, 4, leafTemplate("mcc:consortium:"+want), underA, underB)
		if p, err := tr.Verify(c, testNow); err != nil || p.Consortium != want {
			t.Errorf("%s: %v, %v", want, p, err)
		}
	}
}

func TestClockSkew(t *testing.T) {
	fresh := caTemplate("acme")
	fresh.NotBefore = testNow.Add(90 * time.Second)
	root := newRoot(t, 1, fresh)
	leaf := leafTemplate()
	leaf.NotBefore = testNow.Add(119 * time.Second)
	c := root.issue(t, 2, leaf)
	tr := trusting(t, root)
	if _, err := tr.Verify(c, testNow); err != nil {
		t.Errorf("two minutes ahead: %v", err)
	}
	if _, err := tr.Verify(c, testNow.Add(-5*time.Second)); !errors.Is(err, ErrExpired) {
		t.Errorf("further ahead: %v", err)
	}
	// No grace at the end, not even while the start is being forgiven.
	if _, err := tr.Verify(c, c.NotAfter().Add(time.Second)); !errors.Is(err, ErrExpired) {
		t.Errorf("a second late: %v", err)
	}
}

func TestExpiredRoot(t *testing.T) {
	old := caTemplate("old root", "mcc:consortium:acme")
	old.NotAfter = testNow.Add(-time.Minute)
	root := newRoot(t, 1, old)
	_, err := trusting(t, root).Verify(root.issue(t, 2, leafTemplate()), testNow)
	if !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), `CA "old root"`) {
		t.Errorf("got %v", err)
	}
}

func TestForeignKeyKinds(t *testing.T) {
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec := authority{sign(t, caTemplate("ec"), caTemplate("ec"), ecKey.Public(), ecKey), ecKey}
	rs := authority{sign(t, caTemplate("rsa"), caTemplate("rsa"), rsaKey.Public(), rsaKey), rsaKey}
	for _, root := range []authority{ec, rs} {
		p, err := trusting(t, root).Verify(root.issue(t, 2, leafTemplate()), testNow)
		if err != nil || p.Consortium != root.cert.Subject.CommonName {
			t.Errorf("%s: %v", root.cert.Subject.CommonName, err)
		}
	}
}

func TestParseRoots(t *testing.T) {
	a, b := newRoot(t, 1, caTemplate("a")), newRoot(t, 2, caTemplate("b"))
	bundle := append(encodePEM(pemCertificate, a.cert.Raw), "\n# second\n"...)
	bundle = append(bundle, encodePEM(pemCertificate, b.cert.Raw)...)
	roots, err := ParseRoots(bundle)
	if err != nil || len(roots) != 2 || roots[1].Subject.CommonName != "b" {
		t.Fatalf("got %d, %v", len(roots), err)
	}
	b64 := []byte(base64.StdEncoding.EncodeToString(a.cert.Raw))
	if roots, err = ParseRoots(b64); err != nil || len(roots) != 1 {
		t.Errorf("base64: %d, %v", len(roots), err)
	}
	spoilt := func(change func(*x509.Certificate)) []byte {
		template := caTemplate("x")
		change(template)
		key := PrivateKeyFromSeed(seed(3))
		return encodePEM(pemCertificate, sign(t, template, template, key.Public(), key).Raw)
	}
	for _, tt := range []struct {
		name string
		in   []byte
		want string
	}{
		{"empty", nil, "empty"},
		{"text", []byte("not a certificate!"), "base64"},
		{"leaf", localOf(t, 1, "a").Certificate().MarshalPEM(), "certificate 1: not a CA"},
		{"second is a leaf", append(encodePEM(pemCertificate, a.cert.Raw), localOf(t, 1, "a").Certificate().MarshalPEM()...), "certificate 2: not a CA"},
		{"no keyCertSign", spoilt(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), "keyCertSign"},
		{"no name", spoilt(func(c *x509.Certificate) { c.Subject = pkix.Name{Organization: []string{"o"}} }), "consortium"},
		{"two consortia", spoilt(func(c *x509.Certificate) { c.URIs = uris("mcc:consortium:a", "mcc:consortium:b") }), "two consortia"},
		{"unknown kind", spoilt(func(c *x509.Certificate) { c.URIs = uris("mcc:x:a") }), "no kind"},
		{"critical", spoilt(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}), "critical"},
		{"key", encodePEM(pemPrivateKey, []byte{1}), "PRIVATE KEY"},
		{"damaged second", append(encodePEM(pemCertificate, a.cert.Raw), "-----BEGIN CERTIFICATE-----\nAAAA"...), "damaged"},
	} {
		_, err := ParseRoots(tt.in)
		if !errors.Is(err, ErrBadCertificate) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want ErrBadCertificate with %q", tt.name, err, tt.want)
		}
	}
	if _, err := NewTrust([]*x509.Certificate{nil}); !errors.Is(err, ErrBadCertificate) {
		t.Errorf("nil root: %v", err)
	}
	if _, err := NewTrust([]*x509.Certificate{localOf(t, 1, "a").Certificate().Leaf()}); !errors.Is(err, ErrBadCertificate) {
		t.Errorf("leaf as root: %v", err)
	}
}

// TestPeerEndsWithItsChain: nobody outlives the CA that vouches for it.
func TestPeerEndsWithItsChain(t *testing.T) {
	root := newRoot(t, 1, caTemplate("acme"))
	soon := caTemplate("soon")
	soon.NotAfter = testNow.Add(time.Hour)
	mid := root.below(t, 60, soon)
	peer, err := trusting(t, root).Verify(mid.issue(t, 2, leafTemplate(), mid), testNow)
	if err != nil {
		t.Fatal(err)
	}
	if !peer.NotAfter.Equal(soon.NotAfter) {
		t.Errorf("the peer ends %v, its CA %v", peer.NotAfter, soon.NotAfter)
	}
}
