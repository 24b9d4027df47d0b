package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func TestRequestRoundTrip(t *testing.T) {
	key := PrivateKeyFromSeed(seed(1))
	der, err := CreateRequest(key, "Web 1")
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string][]byte{
		"pem":    EncodeRequestPEM(der),
		"old":    encodePEM(pemNewRequest, der),
		"base64": []byte(base64.StdEncoding.EncodeToString(der)),
	} {
		r, err := ParseRequest(in)
		if err != nil || r.ID() != key.ID() || r.Label() != "web1" || len(r.Permissions()) != 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := CreateRequest(key, ""); !errors.Is(err, ErrBadLabel) {
		t.Errorf("no label: %v", err)
	}
}

func TestRequestPermissions(t *testing.T) {
	template := &x509.CertificateRequest{URIs: uris("mcc:perm:route", "mcc:perm:register:svc*")}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, PrivateKeyFromSeed(seed(1)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseRequest(EncodeRequestPEM(der))
	if err != nil || strings.Join(r.Permissions(), " ") != "route register:svc*" || r.Label() != "" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestParseRequestMalformed(t *testing.T) {
	key := PrivateKeyFromSeed(seed(1))
	good, err := CreateRequest(key, "web")
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	asking := func(names ...string) []byte {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: uris(names...)}, key)
		if err != nil {
			t.Fatal(err)
		}
		return EncodeRequestPEM(der)
	}
	ecDER, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ecKey)
	if err != nil {
		t.Fatal(err)
	}
	stolen := bytes.Replace(good, key.ID().PublicKey(), PrivateKeyFromSeed(seed(2)).ID().PublicKey(), 1)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	private, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		in   []byte
		want string
	}{
		{"nil", nil, "empty"},
		{"text", []byte("please?"), "base64"},
		{"raw der", good, "binary"},
		{"certificate", localOf(t, 1, "a").Certificate().MarshalPEM(), `"CERTIFICATE"`},
		{"key", private, `"PRIVATE KEY"`},
		{"two", append(EncodeRequestPEM(good), EncodeRequestPEM(good)...), "2 requests"},
		{"no end", EncodeRequestPEM(good)[:100], "damaged"},
		{"truncated", EncodeRequestPEM(good[:50]), "asn1"},
		{"trailing", EncodeRequestPEM(append(bytes.Clone(good), 0)), "trailing"},
		{"large", EncodeRequestPEM(make([]byte, MaxChainBytes+1)), "over"},
		{"signature", EncodeRequestPEM(flipped), "signature"},
		{"somebody else's key", EncodeRequestPEM(stolen), "signature"},
		{"ecdsa", EncodeRequestPEM(ecDER), "ECDSA"},
		{"bad label", asking("mcc:label:Web"), "normal form"},
		{"two labels", asking("mcc:label:a", "mcc:label:b"), "two labels"},
		{"bad permission", asking("mcc:perm:A"), "may only have"},
		{"unknown kind", asking("mcc:admin:yes"), "no kind"},
	} {
		_, err := ParseRequest(tt.in)
		if !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want ErrBadRequest with %q", tt.name, err, tt.want)
		}
	}
}
