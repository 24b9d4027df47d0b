package identity

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"testing"
	"time"
)

// testNow is the time of every test: certificates of tests are made around it.
var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// seed makes 32 bytes that a test can tell from others.
func seed(b byte) (s [32]byte) {
	for i := range s {
		s[i] = b + byte(i)
	}
	return s
}

func localOf(t testing.TB, b byte, label string) *Local {
	t.Helper()
	l, err := FromSeed(seed(b), label, testNow)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// uris splits space-separated URIs; net/url writes an opaque one as it is.
func uris(list ...string) []*url.URL {
	var out []*url.URL
	for _, s := range list {
		kind, rest, _ := strings.Cut(s, ":")
		out = append(out, &url.URL{Scheme: kind, Opaque: rest})
	}
	return out
}

// leafTemplate is a node's certificate as the CA would make it; tests spoil it.
func leafTemplate(names ...string) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: "node"},
		NotBefore:             testNow.Add(-time.Hour),
		NotAfter:              testNow.Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		URIs:                  uris(names...),
	}
}

func caTemplate(name string, names ...string) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             testNow.Add(-48 * time.Hour),
		NotAfter:              testNow.Add(1000 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		URIs:                  uris(names...),
	}
}

// sign makes a certificate of public, signed by key in the name of parent.
func sign(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// authority is a CA of a test.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newRoot(t testing.TB, b byte, template *x509.Certificate) authority {
	t.Helper()
	key := PrivateKeyFromSeed(seed(b))
	return authority{sign(t, template, template, key.Public(), key), key}
}

func (a authority) below(t testing.TB, b byte, template *x509.Certificate) authority {
	t.Helper()
	key := PrivateKeyFromSeed(seed(b))
	return authority{sign(t, template, a.cert, key.Public(), a.key), key}
}

// issue certifies the key of seed(b) and returns the leaf followed by between.
func (a authority) issue(t testing.TB, b byte, template *x509.Certificate, between ...authority) *Certificate {
	t.Helper()
	leaf := sign(t, template, a.cert, PrivateKeyFromSeed(seed(b)).Public(), a.key)
	chain := [][]byte{leaf.Raw}
	for _, ca := range between {
		chain = append(chain, ca.cert.Raw)
	}
	c, err := CertificateFromDER(chain)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func trusting(t testing.TB, roots ...authority) *Trust {
	t.Helper()
	var list []*x509.Certificate
	for _, r := range roots {
		list = append(list, r.cert)
	}
	tr, err := NewTrust(list)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}
