package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
)

// Request is a node's wish for a certificate (PKCS#10, RFC 2986), signed by the
// key it is for. What it asks for is only a wish: the CA decides. It is
// immutable.
type Request struct {
	id    ID
	names names
}

// CreateRequest asks a CA to certify key under label, which is normalised, and
// returns DER. See [EncodeRequestPEM].
func CreateRequest(key PrivateKey, label string) (der []byte, err error) {
	label, err = NormalizeLabel(label)
	if err != nil {
		return nil, err
	}
	if key.ID().IsZero() {
		return nil, ErrBadKey
	}
	template := &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: label},
		URIs:    names{label: label}.uris(),
	}
	der, err = x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("create request: %w", err)
	}
	return der, nil
}

// EncodeRequestPEM frames the DER of a request.
func EncodeRequestPEM(der []byte) []byte { return encodePEM(pemRequest, der) }

// ParseRequest reads one request, PEM or base64 DER, and checks its signature
// and its names as strictly as a certificate's. Failures are ErrBadRequest.
func ParseRequest(data []byte) (*Request, error) {
	ders, err := decodeArmor(data, maxInput, pemRequest, pemNewRequest)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	if len(ders) != 1 {
		return nil, fmt.Errorf("%w: %d requests, expected one", ErrBadRequest, len(ders))
	}
	r, err := requestFromDER(ders[0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	return r, nil
}

func requestFromDER(der []byte) (*Request, error) {
	if len(der) > MaxChainBytes {
		return nil, fmt.Errorf("over %d bytes", MaxChainBytes)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, bounded(err)
	}
	key, ok := csr.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("key is %v, expected Ed25519", csr.PublicKeyAlgorithm)
	}
	r := &Request{id: ID(key)}
	if _, err := r.id.X25519(); err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, errors.New("signature does not verify: whoever made it may not hold the key")
	}
	if r.names, err = parseNames(csr.Extensions); err != nil {
		return nil, err
	}
	return r, nil
}

// ID is the public key to be certified; the request proves that its author
// holds the private one.
func (r *Request) ID() ID { return r.id }

// Label is the label asked for, empty if none.
func (r *Request) Label() string { return r.names.label }

// Permissions are those asked for; the slice belongs to the caller.
func (r *Request) Permissions() Permissions { return slices.Clone(r.names.permissions) }
