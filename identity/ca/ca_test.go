package ca

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newCA(t testing.TB, o Options) *CA {
	t.Helper()
	o.Now = now
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func request(t testing.TB, b byte, label string) (identity.PrivateKey, *identity.Request) {
	t.Helper()
	key := identity.PrivateKeyFromSeed([32]byte{b})
	der, err := identity.CreateRequest(key, label)
	if err != nil {
		t.Fatal(err)
	}
	req, err := identity.ParseRequest(identity.EncodeRequestPEM(der))
	if err != nil {
		t.Fatal(err)
	}
	return key, req
}

func TestNew(t *testing.T) {
	c := newCA(t, Options{Name: "Acme Root", Consortium: "acme"})
	root := c.Certificate()
	switch {
	case root.Subject.CommonName != "Acme Root", c.Consortium() != "acme":
		t.Errorf("names %q and %q", root.Subject.CommonName, c.Consortium())
	case !root.IsCA, !root.BasicConstraintsValid, root.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign, len(root.ExtKeyUsage) != 0:
		t.Errorf("constraints %+v", root)
	case !root.NotBefore.Equal(now.Add(-time.Hour)), !root.NotAfter.Equal(now.AddDate(0, 0, 3652)):
		t.Errorf("valid %v to %v", root.NotBefore, root.NotAfter)
	case root.PublicKeyAlgorithm != x509.Ed25519, root.CheckSignatureFrom(root) != nil:
		t.Error("not self-signed with Ed25519")
	}
	if got := newCA(t, Options{Name: "Bolt CA"}).Consortium(); got != "Bolt CA" {
		t.Errorf("consortium from the name: %q", got)
	}
	if got := newCA(t, Options{Consortium: "acme", Days: 3}); got.Certificate().Subject.CommonName != "acme" || !got.Certificate().NotAfter.Equal(now.AddDate(0, 0, 3)) {
		t.Errorf("name from the consortium, 3 days: %v %v", got.Certificate().Subject, got.Certificate().NotAfter)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{}, "required"},
		{Options{Name: "a", Days: -1}, "-1 days"},
		{Options{Name: "a", Days: 40000}, "40000 days"},
		{Options{Consortium: strings.Repeat("a", 65)}, "1 to 64"},
		{Options{Name: strings.Repeat("a", 65)}, "1 to 64"},
		{Options{Name: "a\x00"}, "printable"},
		{Options{Consortium: "müller"}, ""},
	} {
		if _, err := New(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.o, err, tt.want)
		}
	}
}

func TestSign(t *testing.T) {
	c := newCA(t, Options{Consortium: "acme"})
	key, req := request(t, 1, "asked")
	cert, err := c.Sign(req, Leaf{Label: "Web-1", Permissions: identity.Permissions{"route", "register:w*", "route"}, Lifetime: 2 * day, NotBefore: now})
	if err != nil {
		t.Fatal(err)
	}
	if cert.Label() != "web1" || strings.Join(cert.Permissions(), " ") != "route register:w*" || !cert.NotAfter().Equal(now.Add(2*day)) {
		t.Errorf("got %v %v %v", cert, cert.Permissions(), cert.NotAfter())
	}
	if _, err := identity.New(key, cert); err != nil {
		t.Error(err)
	}
	trust, err := identity.NewTrust([]*x509.Certificate{c.Certificate()})
	if err != nil {
		t.Fatal(err)
	}
	peer, err := trust.Verify(cert, now)
	if err != nil || peer.Consortium != "acme" || !peer.May("register:web") || peer.May("store") {
		t.Errorf("%+v, %v", peer, err)
	}
	other, err := identity.NewTrust([]*x509.Certificate{newCA(t, Options{Consortium: "acme"}).Certificate()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Verify(cert, now); !errors.Is(err, identity.ErrUntrusted) {
		t.Errorf("another CA of the same name: %v", err)
	}
}

// TestSignDefaults: the request's label counts, the permissions it asks for do
// not.
func TestSignDefaults(t *testing.T) {
	c := newCA(t, Options{Name: "x"})
	_, req := request(t, 1, "asked")
	cert, err := c.Sign(req, Leaf{NotBefore: now})
	if err != nil || cert.Label() != "asked" || len(cert.Permissions()) != 0 || !cert.NotAfter().Equal(now.Add(DefaultLifetime)) {
		t.Errorf("%v %v, %v", cert, cert.Permissions(), err)
	}
	early, err := c.Sign(req, Leaf{NotBefore: now.Add(-2 * time.Hour), Lifetime: day})
	if err != nil || !early.NotBefore().Equal(c.Certificate().NotBefore) {
		t.Errorf("start before the CA's: %v, %v", early.NotBefore(), err)
	}
	live, err := New(Options{Name: "live"})
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := live.Sign(req, Leaf{Lifetime: day})
	if err != nil || fresh.CheckTime(time.Now()) != nil || fresh.NotAfter().After(time.Now().Add(day)) {
		t.Errorf("by the clock: %v to %v, %v", fresh.NotBefore(), fresh.NotAfter(), err)
	}
}

func TestSignRefuses(t *testing.T) {
	c := newCA(t, Options{Name: "x", Days: 30})
	_, req := request(t, 1, "asked")
	for _, tt := range []struct {
		leaf Leaf
		want string
	}{
		{Leaf{Label: "--"}, "letter or digit"},
		{Leaf{Permissions: identity.Permissions{"Route"}}, `"Route"`},
		{Leaf{Permissions: identity.Permissions{""}}, `""`},
		{Leaf{Lifetime: -time.Second}, "negative"},
		{Leaf{Lifetime: 31 * day, NotBefore: now}, "after the CA's own at 2026-12-22T12:00:00Z"},
		{Leaf{Lifetime: time.Minute, NotBefore: now.Add(-9 * day)}, "before it starts"},
	} {
		if _, err := c.Sign(req, tt.leaf); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), req.ID().String()) {
			t.Errorf("%+v: %v, want %q", tt.leaf, err, tt.want)
		}
	}
	if _, err := c.Sign(nil, Leaf{}); err == nil {
		t.Error("signs nothing")
	}
}

func TestInitAndOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	c, err := Init(dir, Options{Name: "x", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(dir)
	if err != nil || !got.Certificate().Equal(c.Certificate()) {
		t.Fatalf("%v, %v", got, err)
	}
	_, req := request(t, 1, "a")
	if _, err := got.Sign(req, Leaf{NotBefore: now}); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "ca.key")); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := Init(dir, Options{Name: "x"}); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "ca.key") {
		t.Errorf("again: %v", err)
	}
	if again, err := Open(dir); err != nil || !again.Certificate().Equal(c.Certificate()) {
		t.Errorf("replaced: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	if _, err := Init(other, Options{Name: "other"}); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(filepath.Join(other, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		spoil func(key, cert string) error
		want  string
	}{
		{"no key", func(key, _ string) error { return os.Remove(key) }, "ca.key"},
		{"no certificate", func(_, cert string) error { return os.Remove(cert) }, "ca.crt"},
		{"open key", func(key, _ string) error { return os.Chmod(key, 0o644) }, "chmod 600"},
		{"foreign", func(_, cert string) error { return os.WriteFile(cert, foreign, 0o644) }, "do not match"},
		{"two", func(_, cert string) error { return os.WriteFile(cert, append(foreign, foreign...), 0o644) }, "2 certificates"},
		{"junk", func(_, cert string) error { return os.WriteFile(cert, []byte("junk"), 0o644) }, "ca.crt"},
	} {
		if runtime.GOOS == "windows" && tt.name == "open key" {
			continue
		}
		dir := t.TempDir()
		if _, err := Init(dir, Options{Name: "x"}); err != nil {
			t.Fatal(err)
		}
		if err := tt.spoil(filepath.Join(dir, "ca.key"), filepath.Join(dir, "ca.crt")); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestPrintsNoKey(t *testing.T) {
	c := newCA(t, Options{Name: "x"})
	for _, verb := range []string{"%v", "%+v", "%s"} {
		if got := fmt.Sprintf(verb, c); got != "CA of x" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

// TestSizes guards the room for a certificate in a handshake (450 bytes).
func TestSizes(t *testing.T) {
	_, req := request(t, 1, "edge12")
	cert, err := newCA(t, Options{Consortium: "acme"}).Sign(req, Leaf{Permissions: identity.Permissions{"route", "store", "register:web*"}, NotBefore: now})
	if err != nil {
		t.Fatal(err)
	}
	n := len(cert.Chain()[0])
	t.Logf("a node's certificate with three permissions has %d bytes", n)
	if n > 450 {
		t.Errorf("%d bytes do not fit into a handshake", n)
	}
}
