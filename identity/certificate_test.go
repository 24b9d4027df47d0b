package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCertificateNames(t *testing.T) {
	root := newRoot(t, 1, caTemplate("acme"))
	c := root.issue(t, 2, leafTemplate("mcc:label:web1", "https://example.org/x", "mcc:consortium:acme",
		"mcc:perm:register:svc*", "mcc:perm:route", "mcc:perm:call:a.b_c-d*", "spiffe://td/x"))
	if c.ID() != PrivateKeyFromSeed(seed(2)).ID() || c.Label() != "web1" || c.Consortium() != "acme" {
		t.Errorf("got %v %q %q", c.ID(), c.Label(), c.Consortium())
	}
	want := Permissions{"register:svc*", "route", "call:a.b_c-d*"}
	if diff := cmp.Diff(want, c.Permissions()); diff != "" {
		t.Errorf("permissions (-want +got):\n%s", diff)
	}
	if !c.Permissions().Allow("register:svc-1") || c.Permissions().Allow("register:other") {
		t.Error("the star does not work")
	}
	if c.SelfSigned() {
		t.Error("a CA's certificate counts as self-signed")
	}
	if !c.NotAfter().Equal(testNow.Add(24*time.Hour)) || c.String() != c.ID().String()+" (web1)" {
		t.Errorf("NotAfter %v, String %q", c.NotAfter(), c)
	}
}

// TestSelfSigned needs both: the same name and the own key's signature.
func TestSelfSigned(t *testing.T) {
	own, other := PrivateKeyFromSeed(seed(1)), PrivateKeyFromSeed(seed(2))
	elsewhere := leafTemplate()
	elsewhere.Subject.CommonName = "other"
	for _, tt := range []struct {
		name   string
		issuer *x509.Certificate
		signer PrivateKey
		want   bool
	}{
		{"own", leafTemplate(), own, true},
		{"another's signature", leafTemplate(), other, false},
		{"another's name", elsewhere, own, false},
	} {
		// The issuer's public key must be the signer's, or Go refuses to sign.
		tt.issuer.PublicKey = tt.signer.Public()
		c, err := CertificateFromDER([][]byte{sign(t, leafTemplate(), tt.issuer, own.Public(), tt.signer).Raw})
		if err != nil {
			t.Fatal(err)
		}
		if c.SelfSigned() != tt.want {
			t.Errorf("%s: %v", tt.name, c.SelfSigned())
		}
	}
}

func TestCertificateWithoutNames(t *testing.T) {
	c := newRoot(t, 1, caTemplate("acme")).issue(t, 2, leafTemplate())
	if c.Label() != "" || c.Consortium() != "" || len(c.Permissions()) != 0 || c.String() != c.ID().String() {
		t.Errorf("got %q %q %v %q", c.Label(), c.Consortium(), c.Permissions(), c)
	}
}

func TestCertificateForms(t *testing.T) {
	root := newRoot(t, 1, caTemplate("acme"))
	mid := root.below(t, 2, caTemplate("mid"))
	c := mid.issue(t, 3, leafTemplate("mcc:label:a"), mid, root)
	fromPEM, err := ParseCertificate(append([]byte("Certificate:\n  text\n"), c.MarshalPEM()...))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.Chain(), fromPEM.Chain()); diff != "" || len(c.Chain()) != 3 {
		t.Errorf("chain of %d (-want +got):\n%s", len(c.Chain()), diff)
	}
	if c.Fingerprint() != fromPEM.Fingerprint() {
		t.Error("same chain, other fingerprint")
	}
	single, err := ParseCertificate([]byte(base64.StdEncoding.EncodeToString(c.Chain()[0]) + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if single.ID() != c.ID() || single.Fingerprint() == c.Fingerprint() {
		t.Error("base64 form differs, or the fingerprint ignores the chain")
	}
}

func TestCertificateIsImmutable(t *testing.T) {
	in := localOf(t, 1, "a").Certificate().Chain()
	c, err := CertificateFromDER(in)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(c.MarshalPEM())
	clear(in[0])
	clear(c.Chain()[0])
	c.Permissions()[0] = "admin"
	if !bytes.Equal(c.MarshalPEM(), want) || c.Permissions()[0] != "all" {
		t.Error("a caller changed the certificate")
	}
}

func TestCertificateBounds(t *testing.T) {
	root := newRoot(t, 1, caTemplate("acme"))
	leaf := root.issue(t, 2, leafTemplate()).Chain()[0]
	ca := root.cert.Raw
	if _, err := CertificateFromDER([][]byte{leaf, ca, ca, ca}); err != nil {
		t.Errorf("four certificates: %v", err)
	}
	wide := leafTemplate()
	wide.Subject.Organization = []string{strings.Repeat("x", MaxChainBytes)}
	for _, tt := range []struct {
		name  string
		chain [][]byte
		want  string
	}{
		{"none", nil, "no certificate"},
		{"five", [][]byte{leaf, ca, ca, ca, ca}, "at most 4"},
		{"large", [][]byte{leaf, make([]byte, MaxChainBytes)}, "at most 16384"},
		{"one large", [][]byte{sign(t, wide, root.cert, root.key.Public(), root.key).Raw}, "at most 16384"},
		{"leaf twice", [][]byte{leaf, leaf}, "certificate 2 of the chain: not a CA"},
		{"ca first", [][]byte{ca, leaf}, "CA certificate"},
		{"trailing", [][]byte{append(bytes.Clone(leaf), 0)}, "trailing"},
		{"truncated", [][]byte{leaf[:len(leaf)-1]}, "malformed"},
		{"empty leaf", [][]byte{{}}, "malformed"},
		{"junk in chain", [][]byte{leaf, []byte("junk")}, "certificate 2"},
	} {
		_, err := CertificateFromDER(tt.chain)
		if !errors.Is(err, ErrBadCertificate) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want ErrBadCertificate with %q", tt.name, err, tt.want)
		}
	}
}

func TestCheckTime(t *testing.T) {
	c := newRoot(t, 1, caTemplate("acme")).issue(t, 2, leafTemplate())
	start, end := c.NotBefore(), c.NotAfter()
	for _, tt := range []struct {
		at time.Time
		ok bool
	}{
		{testNow, true},
		{start, true},
		{start.Add(-2 * time.Minute), true},
		{start.Add(-2*time.Minute - time.Second), false},
		{end, true},
		{end.Add(time.Second), false},
	} {
		err := c.CheckTime(tt.at)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrExpired) {
			t.Errorf("at %v: %v, want ok %v", tt.at, err, tt.ok)
		}
	}
	err := c.CheckTime(end.Add(time.Hour))
	for _, want := range []string{c.ID().String(), "2026-11-23T12:00:00Z", "2026-11-23T13:00:00Z"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}
