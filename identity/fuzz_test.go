package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"testing"
)

// seeds adds inputs and guards that there are some.
func seeds(f *testing.F, list ...[]byte) {
	f.Helper()
	if len(list) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range list {
		if len(s) == 0 {
			f.Fatal("empty seed")
		}
		f.Add(s)
	}
}

func base64Of(der []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(der)) }

// chains are certificates of each kind in DER.
func chains(f *testing.F) (leaf, self, root []byte) {
	f.Helper()
	r := newRoot(f, 1, caTemplate("acme", "mcc:consortium:acme"))
	leaf = r.issue(f, 2, leafTemplate("mcc:label:web", "mcc:perm:register:svc*", "mcc:consortium:acme")).Chain()[0]
	return leaf, localOf(f, 3, "web").Certificate().Chain()[0], r.cert.Raw
}

// checkAccepted holds what must be true of every certificate that is accepted.
func checkAccepted(t *testing.T, c *Certificate) {
	t.Helper()
	again, err := ParseCertificate(c.MarshalPEM())
	if err != nil || again.Fingerprint() != c.Fingerprint() || again.ID() != c.ID() {
		t.Fatalf("written and read again: %v", err)
	}
	if c.Label() != "" {
		if normal, err := NormalizeLabel(c.Label()); err != nil || normal != c.Label() {
			t.Fatalf("label %q", c.Label())
		}
	}
	if _, err := ParsePermissions(c.Permissions()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ID().X25519(); err != nil {
		t.Fatal(err)
	}
	if _, err := (*Trust)(nil).Verify(c, testNow); err != nil {
		t.Fatal(err)
	}
}

func FuzzParseCertificate(f *testing.F) {
	leaf, self, root := chains(f)
	seeds(f, encodePEM(pemCertificate, leaf, root), encodePEM(pemCertificate, self), base64Of(leaf), []byte("-----BEGIN CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCertificate(data)
		if err == nil {
			checkAccepted(t, c)
		} else if len(err.Error()) > 1000 {
			t.Fatalf("error of %d bytes", len(err.Error()))
		}
	})
}

func FuzzCertificateFromDER(f *testing.F) {
	leaf, self, root := chains(f)
	f.Add(leaf, root)
	f.Add(self, []byte{})
	f.Add([]byte{0x30, 0}, []byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	trust := trusting(f, newRoot(f, 1, caTemplate("acme", "mcc:consortium:acme")))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		chain := [][]byte{first}
		if len(second) > 0 {
			chain = append(chain, second)
		}
		c, err := CertificateFromDER(chain)
		if err != nil {
			return
		}
		checkAccepted(t, c)
		if !bytes.Equal(c.Chain()[0], first) {
			t.Fatal("the chain is not what came in")
		}
		if p, err := trust.Verify(c, testNow); err == nil && (p.ID != c.ID() || p.Consortium != "acme") {
			t.Fatalf("%+v", p)
		}
	})
}

func FuzzParsePrivateKey(f *testing.F) {
	text, err := PrivateKeyFromSeed(seed(1)).MarshalPEM()
	if err != nil {
		f.Fatal(err)
	}
	block, _ := pem.Decode(text)
	seeds(f, text, base64Of(block.Bytes), []byte("-----BEGIN RSA PRIVATE KEY-----"), base64Of([]byte{0x30, 0x03, 2, 1, 0}))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := ParsePrivateKey(data)
		if err != nil {
			return
		}
		text, err := key.MarshalPEM()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParsePrivateKey(text); err != nil || again.ID() != key.ID() {
			t.Fatalf("written and read again: %v", err)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	der, err := CreateRequest(PrivateKeyFromSeed(seed(1)), "web")
	if err != nil {
		f.Fatal(err)
	}
	seeds(f, EncodeRequestPEM(der), base64Of(der), []byte("-----BEGIN NEW CERTIFICATE REQUEST-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRequest(data)
		if err != nil {
			return
		}
		if _, err := NameURIs(r.Label(), "", r.Permissions()); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzParseRoots(f *testing.F) {
	leaf, _, root := chains(f)
	seeds(f, encodePEM(pemCertificate, root, root), base64Of(root), encodePEM(pemCertificate, leaf))
	f.Fuzz(func(t *testing.T, data []byte) {
		roots, err := ParseRoots(data)
		if err != nil {
			return
		}
		if trust, err := NewTrust(roots); err != nil || trust.Open() {
			t.Fatalf("roots that were read make no trust: %v", err)
		}
	})
}

func FuzzParseID(f *testing.F) {
	id := PrivateKeyFromSeed(seed(1)).ID()
	for _, s := range []string{id.String(), id.DID(), "z6Mk", "z", "did:key:did:key:" + id.String()} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil {
			return
		}
		if id.String() != s && id.DID() != s {
			t.Fatalf("%q is %q again", s, id)
		}
		text, err := id.MarshalText()
		var again ID
		if err != nil || again.UnmarshalText(text) != nil || again != id {
			t.Fatalf("%q: text form %s, %v", s, text, err)
		}
	})
}
