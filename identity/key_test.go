package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPrivateKeyRoundTrip(t *testing.T) {
	key, err := GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	b64 := base64.StdEncoding.EncodeToString(block.Bytes)
	for name, in := range map[string]string{
		"pem":      string(text),
		"crlf":     strings.ReplaceAll(string(text), "\n", "\r\n"),
		"bom":      "\xef\xbb\xbf" + string(text),
		"preamble": "some key\n" + string(text) + "\n\n",
		"base64":   b64,
		"newline":  b64 + "\n",
		"wrapped":  b64[:20] + "\r\n " + b64[20:],
		"unpadded": strings.TrimRight(b64, "="),
	} {
		got, err := ParsePrivateKey([]byte(in))
		if err != nil || got.ID() != key.ID() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// RFC 8032 section 7.1, test 1 and 3.
func TestPrivateKeyFromSeed(t *testing.T) {
	for _, tt := range []struct{ seed, public, msg, sig string }{
		{
			"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
			"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
		},
		{
			"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
			"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
		},
	} {
		key := PrivateKeyFromSeed([32]byte(unhex(t, tt.seed)))
		id := key.ID()
		if got := hex.EncodeToString(id[:]); got != tt.public {
			t.Errorf("public key %s, want %s", got, tt.public)
		}
		sig, err := key.Sign(nil, unhex(t, tt.msg), crypto.Hash(0))
		if err != nil || hex.EncodeToString(sig) != tt.sig {
			t.Errorf("signature %x, %v, want %s", sig, err, tt.sig)
		}
		if !Verify(id, unhex(t, tt.msg), sig) || Verify(id, []byte("other"), sig) || Verify(id, nil, sig[:63]) {
			t.Error("Verify is wrong")
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParsePrivateKeyMalformed(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	xKey, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	good := pkcs8(ed25519.NewKeyFromSeed(make([]byte, 32)))
	frame := func(kind string, der []byte) []byte { return encodePEM(kind, der) }
	b64 := func(der []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(der)) }
	encrypted := append(unhex(t, "301b"), append(unhex(t, "300b06092a864886f70d01050d"), unhex(t, "040c000000000000000000000000")...)...)
	long := append(unhex(t, "302f020100300506032b657004230421"), make([]byte, 33)...)
	short := append(unhex(t, "302d020100300506032b65700421041f"), make([]byte, 31)...)
	for _, tt := range []struct {
		name string
		in   []byte
		want string
	}{
		{"nil", nil, "empty"},
		{"spaces", []byte(" \n\t"), "empty"},
		{"text", []byte("hello, world"), "base64"},
		{"huge", bytes.Repeat([]byte("A"), maxInput+1), "over"},
		{"raw der", good, "binary"},
		{"latin", []byte("schl\xfcssel"), "binary"},
		{"rsa pkcs8", frame("PRIVATE KEY", pkcs8(rsaKey)), "RSA"},
		{"rsa pkcs8 base64", b64(pkcs8(rsaKey)), "RSA"},
		{"rsa pkcs1", frame("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), "RSA PRIVATE KEY"},
		{"rsa pkcs1 base64", b64(x509.MarshalPKCS1PrivateKey(rsaKey)), "RSA"},
		{"ec pkcs8", frame("PRIVATE KEY", pkcs8(ecKey)), "EC key"},
		{"ec sec1", frame("EC PRIVATE KEY", sec1), "EC PRIVATE KEY"},
		{"ec sec1 base64", b64(sec1), "EC key"},
		{"x25519", frame("PRIVATE KEY", pkcs8(xKey)), "X25519"},
		{"encrypted", frame("ENCRYPTED PRIVATE KEY", encrypted), "openssl pkey"},
		{"encrypted base64", b64(encrypted), "encrypted"},
		{"legacy encrypted", []byte("-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END PRIVATE KEY-----\n"), "encrypted"},
		{"openssh", frame("OPENSSH PRIVATE KEY", good), "OPENSSH"},
		{"certificate", localOf(t, 1, "a").Certificate().MarshalPEM(), "certificate, not its key"},
		{"certificate base64", b64(localOf(t, 1, "a").Certificate().Chain()[0]), "certificate, not its key"},
		{"public key", frame("PUBLIC KEY", good), "PUBLIC KEY"},
		{"two", append(frame("PRIVATE KEY", good), frame("PRIVATE KEY", good)...), "2 keys"},
		{"no end", []byte(strings.Split(string(frame("PRIVATE KEY", good)), "-----END")[0]), "damaged"},
		{"truncated", frame("PRIVATE KEY", good[:20]), "sequence"},
		{"trailing", frame("PRIVATE KEY", append(bytes.Clone(good), 0)), "sequence"},
		{"empty block", frame("PRIVATE KEY", nil), "sequence"},
		{"33 bytes", frame("PRIVATE KEY", long), "PKCS#8"},
		{"31 bytes", frame("PRIVATE KEY", short), "PKCS#8"},
		{"bad padding", []byte("AAAA==="), "padding"},
		{"url alphabet", []byte("MC4CAQAwBQYDK2VwBCIE-_"), "base64"},
	} {
		_, err := ParsePrivateKey(tt.in)
		if !errors.Is(err, ErrBadKey) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want ErrBadKey with %q", tt.name, err, tt.want)
		}
	}
}

// TestBase64IsCanonical: two spellings of one file would be two fingerprints.
func TestBase64IsCanonical(t *testing.T) {
	for in, ok := range map[string]bool{"aGVsbG8=": true, "aGVsbG8": true, "aGVsbG9=": false, "aGVsbG9": false, "aGVs=": false, "a": false} {
		if got, err := decodeBase64([]byte(in)); (err == nil) != ok {
			t.Errorf("%q: %q, %v, want ok %v", in, got, err, ok)
		}
	}
}

func TestLoadPrivateKeyNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "some.key")
	if _, err := LoadPrivateKey(path); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("missing: %v", err)
	}
	if err := os.WriteFile(path, []byte("junk!"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPrivateKey(path); !errors.Is(err, ErrBadKey) || !strings.Contains(err.Error(), path) {
		t.Errorf("junk: %v", err)
	}
	if _, err := LoadPrivateKey(filepath.Dir(path)); err == nil || !strings.Contains(err.Error(), filepath.Dir(path)) {
		t.Errorf("folder: %v", err)
	}
}

func TestZeroPrivateKey(t *testing.T) {
	var key PrivateKey
	if !key.ID().IsZero() {
		t.Error("the zero key has an id")
	}
	if _, err := key.MarshalPEM(); !errors.Is(err, ErrBadKey) {
		t.Errorf("MarshalPEM: %v", err)
	}
	if _, err := key.Sign(nil, nil, crypto.Hash(0)); !errors.Is(err, ErrBadKey) {
		t.Errorf("Sign: %v", err)
	}
	if _, err := New(key, localOf(t, 1, "a").Certificate()); !errors.Is(err, ErrBadKey) {
		t.Errorf("New: %v", err)
	}
	if _, err := CreateRequest(key, "a"); !errors.Is(err, ErrBadKey) {
		t.Errorf("CreateRequest: %v", err)
	}
}

func TestSignRefusesVariants(t *testing.T) {
	own := localOf(t, 1, "a")
	for name, s := range map[string]crypto.Signer{"key": own.key, "signer": Signer(own)} {
		for _, opts := range []crypto.SignerOpts{crypto.SHA512, &ed25519.Options{Context: "x"}, &ed25519.Options{Hash: crypto.SHA512}} {
			if _, err := s.Sign(nil, make([]byte, 64), opts); err == nil {
				t.Errorf("%s signs with %#v", name, opts)
			}
		}
		sig, err := s.Sign(rand.Reader, []byte("m"), &ed25519.Options{})
		if err != nil || !Verify(own.ID(), []byte("m"), sig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
