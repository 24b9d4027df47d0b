package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
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
)

// rawSAN is a subject alternative name extension that net/url would not write.
func rawSAN(uris ...string) pkix.Extension {
	var list []byte
	for _, u := range uris {
		list = append(list, 0x86, byte(len(u)))
		list = append(list, u...)
	}
	return pkix.Extension{Id: oidSubjectAltName, Value: append([]byte{0x30, byte(len(list))}, list...)}
}

// spoiled are certificates that break one rule each, with a word of the error.
var spoiled = []struct {
	name  string
	spoil func(*x509.Certificate)
	want  string
}{
	{"unknown kind", stating("mcc:role:admin"), `"mcc:role:admin" is of no kind`},
	{"empty kind", stating("mcc:"), "no kind"},
	{"kind alone", stating("mcc:all"), "no kind"},
	{"upper-case scheme", san("MCC:perm:all"), "no kind"},
	{"upper-case kind", stating("mcc:Perm:all"), "no kind"},
	{"with authority", san("mcc://perm:1/all"), "no kind"},
	{"space before kind", stating("mcc: perm:all"), "no kind"},
	{"empty label", stating("mcc:label:"), "no ASCII letter or digit"},
	{"label without value", stating("mcc:label"), "no ASCII letter or digit"},
	{"upper-case label", stating("mcc:label:Web"), `normal form "web"`},
	{"label with dash", stating("mcc:label:web-1"), `normal form "web1"`},
	{"long label", stating("mcc:label:" + strings.Repeat("a", 31)), "over 30"},
	{"two labels", stating("mcc:label:a", "mcc:label:b"), `two labels, "a" and "b"`},
	{"same label twice", stating("mcc:label:a", "mcc:label:a"), "two labels"},
	{"empty consortium", stating("mcc:consortium:"), "1 to 64 bytes"},
	{"long consortium", stating("mcc:consortium:" + strings.Repeat("a", 65)), "1 to 64 bytes"},
	{"two consortia", stating("mcc:consortium:a", "mcc:consortium:b"), `two consortia, "a" and "b"`},
	{"empty permission", stating("mcc:perm:"), "may only have"},
	{"upper-case permission", stating("mcc:perm:Route"), "may only have"},
	{"permission with space", stating("mcc:perm:a b"), "may only have"},
	{"permission with slash", stating("mcc:perm:register:a/b"), "may only have"},
	{"permission with query", san("mcc:perm:all?x"), "may only have"},
	{"permission with fragment", san("mcc:perm:all#"), "may only have"},
	{"permission with escape", stating("mcc:perm:a%6c"), "may only have"},
	{"permission with bracket", san("mcc:perm:register:[a]"), "may only have"},
	{"long permission", stating("mcc:perm:" + strings.Repeat("a", 129)), "over 128"},
	{"good, then bad", stating("mcc:perm:route", "mcc:perm:all,"), "may only have"},
	{"control character", san("mcc:perm:a\x01"), "URI"},
	{"not ascii", san("mcc:perm:\xe9"), "malformed"},
	{"SAN no sequence", rawExt(0x04, 0x01), "alternative names"},
	{"SAN truncated", rawExt(0x30, 0x05, 0x86, 0x03), "alternative names"},
	{"server only", usage(x509.ExtKeyUsageServerAuth), "clientAuth and serverAuth"},
	{"client only", usage(x509.ExtKeyUsageClientAuth), "clientAuth and serverAuth"},
	{"code signing", usage(x509.ExtKeyUsageCodeSigning), "clientAuth and serverAuth"},
	{"unknown usage", func(c *x509.Certificate) {
		c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 2, 3, 4}}
	}, "clientAuth and serverAuth"},
	{"no digitalSignature", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }, "digitalSignature"},
	{"CA", func(c *x509.Certificate) { c.IsCA = true }, "CA certificate"},
	{"unknown critical extension", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	}, "critical extension 1.2.3.4"},
}

func stating(list ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.URIs = uris(list...) }
}

func san(list ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{rawSAN(list...)} }
}

func rawExt(value ...byte) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: oidSubjectAltName, Value: value}}
	}
}

func usage(u ...x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = u }
}

// TestMalformedCertificates: every certificate is sound but for one rule.
func TestMalformedCertificates(t *testing.T) {
	root := newRoot(t, 1, caTemplate("acme"))
	public := PrivateKeyFromSeed(seed(2)).Public()
	for _, tt := range spoiled {
		template := leafTemplate()
		tt.spoil(template)
		der, err := x509.CreateCertificate(rand.Reader, template, root.cert, public, root.key)
		if err != nil {
			t.Errorf("%s: cannot be made: %v", tt.name, err)
			continue
		}
		_, err = CertificateFromDER([][]byte{der})
		if !errors.Is(err, ErrBadCertificate) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want ErrBadCertificate with %q", tt.name, err, tt.want)
		}
	}
}

func TestMalformedCertificateKeys(t *testing.T) {
	root := newRoot(t, 1, caTemplate("acme"))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	identityPoint := make(ed25519.PublicKey, 32)
	identityPoint[0] = 1
	nonCanonical := ed25519.PublicKey(bytes.Repeat([]byte{0xff}, 32))
	nonCanonical[0], nonCanonical[31] = 0xf0, 0x7f // p + 3
	offCurve := make(ed25519.PublicKey, 32)
	offCurve[0] = 2
	for _, tt := range []struct {
		name string
		key  any
		want string
	}{
		{"rsa", rsaKey.Public(), "RSA"},
		{"ecdsa", ecKey.Public(), "ECDSA"},
		{"zero point", make(ed25519.PublicKey, 32), "low order"},
		{"identity point", identityPoint, "low order"},
		{"not canonical", nonCanonical, "canonical"},
		{"off the curve", offCurve, "canonical"},
	} {
		der := sign(t, leafTemplate(), root.cert, tt.key, root.key).Raw
		_, err := CertificateFromDER([][]byte{der})
		if !errors.Is(err, ErrBadCertificate) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want ErrBadCertificate with %q", tt.name, err, tt.want)
		}
	}
}

func TestMalformedCertificateFiles(t *testing.T) {
	own := localOf(t, 1, "a")
	key, err := own.key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	good := own.Certificate().MarshalPEM()
	der := own.Certificate().Chain()[0]
	b64 := base64.StdEncoding.EncodeToString(der)
	request, err := CreateRequest(own.key, "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		in   []byte
		want string
	}{
		{"nil", nil, "empty"},
		{"blank", []byte("\r\n\t "), "empty"},
		{"bom alone", []byte("\xef\xbb\xbf"), "empty"},
		{"raw der", der, "binary"},
		{"text", []byte("no certificate here!"), "base64"},
		{"key", key, `"PRIVATE KEY", expected "CERTIFICATE"`},
		{"cert and key", append(bytes.Clone(good), key...), `"PRIVATE KEY", expected "CERTIFICATE"`},
		{"request", EncodeRequestPEM(request), `"CERTIFICATE REQUEST"`},
		{"trusted", encodePEM("TRUSTED CERTIFICATE", der), `"TRUSTED CERTIFICATE"`},
		{"no end", good[:len(good)-30], "damaged"},
		{"second damaged", append(bytes.Clone(good), good[:100]...), "1 of 2"},
		{"bad base64 inside", bytes.Replace(good, []byte("MII"), []byte("M!I"), 1), "damaged"},
		{"base64 cut", []byte(b64[:len(b64)/8*4]), "malformed"},
		{"two base64", []byte(b64 + "\n" + b64), ""},
		{"base64 of text", []byte("aGVsbG8="), "malformed"},
		{"huge", bytes.Repeat(good, maxInput/len(good)+1), "over"},
		{"five", bytes.Repeat(good, 5), "at most 4"},
	} {
		_, err := ParseCertificate(tt.in)
		if !errors.Is(err, ErrBadCertificate) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want ErrBadCertificate with %q", tt.name, err, tt.want)
		}
	}
}

// TestErrorsAreBounded: a stranger's certificate must not fill the log.
func TestErrorsAreBounded(t *testing.T) {
	root := newRoot(t, 1, caTemplate("acme"))
	long := strings.Repeat("x", 15000)
	for _, uri := range []string{"mcc:" + long, "mcc:perm:" + long, "mcc:label:" + long, "mcc:consortium:" + long, "http://[" + long} {
		template := leafTemplate()
		template.URIs = uris(uri)
		der, err := x509.CreateCertificate(rand.Reader, template, root.cert, root.key.Public(), root.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = CertificateFromDER([][]byte{der}); err == nil || len(err.Error()) > 500 {
			t.Errorf("%.20s: error of %d bytes", uri, len(err.Error()))
		}
	}
}

// TestVersion1 builds what Go cannot: a certificate without version and
// extensions.
func TestVersion1(t *testing.T) {
	cert := localOf(t, 1, "a").Certificate()
	var outer struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.Chain()[0], &outer); err != nil {
		t.Fatal(err)
	}
	var fields []asn1.RawValue
	if _, err := asn1.Unmarshal(outer.TBS.FullBytes, &fields); err != nil {
		t.Fatal(err)
	}
	var body []byte
	for _, f := range fields[1 : len(fields)-1] { // neither [0] version nor [3] extensions
		body = append(body, f.FullBytes...)
	}
	outer.TBS = asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: body}
	der, err := asn1.Marshal(outer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CertificateFromDER([][]byte{der}); err == nil || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("got %v", err)
	}
}
