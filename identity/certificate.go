package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Bounds of a certificate with its chain.
const (
	// MaxChain is the most certificates a chain may have, the leaf included.
	MaxChain = 4
	// MaxChainBytes is the most bytes a chain may have in DER.
	MaxChainBytes = 16 << 10
)

// Certificate is a node's X.509 certificate with the intermediates that lead to
// its root. What it says is well-formed but not believed: a [Trust] turns it
// into a [Peer]. It is immutable and safe for concurrent use.
type Certificate struct {
	chain       [][]byte
	leaf        *x509.Certificate
	cas         []*x509.Certificate
	id          ID
	names       names
	fingerprint [sha256.Size]byte
}

// ParseCertificate reads a PEM bundle, leaf first, or one base64 DER
// certificate. See [CertificateFromDER] for what is checked.
func ParseCertificate(data []byte) (*Certificate, error) {
	chain, err := decodeArmor(data, maxInput, pemCertificate)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCertificate, err)
	}
	return CertificateFromDER(chain)
}

// CertificateFromDER reads a chain as it travels in handshakes: leaf first,
// then intermediates in any order, the root optional. It checks bounds and the
// rules of contract section 2, not signatures and times; every failure is
// ErrBadCertificate with the rule. It keeps no slice of the caller.
func CertificateFromDER(chain [][]byte) (*Certificate, error) {
	c, err := fromDER(chain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCertificate, err)
	}
	return c, nil
}

func fromDER(chain [][]byte) (*Certificate, error) {
	if err := checkBounds(chain); err != nil {
		return nil, err
	}
	c := &Certificate{chain: cloneChain(chain)}
	var err error
	if c.leaf, err = parseX509(c.chain[0]); err != nil {
		return nil, err
	}
	if c.id, err = leafID(c.leaf); err != nil {
		return nil, err
	}
	if c.names, err = parseNames(c.leaf.Extensions); err != nil {
		return nil, err
	}
	for i, der := range c.chain[1:] {
		ca, err := parseCA(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the chain: %w", i+2, err)
		}
		c.cas = append(c.cas, ca)
	}
	c.fingerprint = sha256.Sum256(bytes.Join(c.chain, nil)) // DER delimits itself
	return c, nil
}

// parseX509 is the standard parser with errors of bounded length: they quote
// the certificate, which a stranger sent.
func parseX509(der []byte) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	return c, bounded(err)
}

func checkBounds(chain [][]byte) error {
	size := 0
	for _, der := range chain {
		size += len(der)
	}
	switch {
	case len(chain) == 0:
		return errors.New("no certificate")
	case len(chain) > MaxChain:
		return fmt.Errorf("%d certificates in the chain, at most %d", len(chain), MaxChain)
	case size > MaxChainBytes:
		return fmt.Errorf("chain of %d bytes, at most %d", size, MaxChainBytes)
	}
	return nil
}

// leafID applies the rules of a node's own certificate and returns its key.
func leafID(leaf *x509.Certificate) (ID, error) {
	key, ok := leaf.PublicKey.(ed25519.PublicKey)
	if !ok {
		return ID{}, fmt.Errorf("key is %v, expected Ed25519", leaf.PublicKeyAlgorithm)
	}
	id := ID(key)
	if _, err := id.X25519(); err != nil {
		return ID{}, err
	}
	switch {
	case leaf.Version != 3:
		return ID{}, fmt.Errorf("X.509 version %d, expected 3", leaf.Version)
	case leaf.IsCA:
		return ID{}, errors.New("it is a CA certificate, expected a node's (CA:FALSE)")
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return ID{}, errors.New("key usage lacks digitalSignature")
	case !servesBoth(leaf):
		return ID{}, errors.New("extended key usage must allow clientAuth and serverAuth")
	case len(leaf.UnhandledCriticalExtensions) > 0:
		return ID{}, fmt.Errorf("unknown critical extension %s", clip(leaf.UnhandledCriticalExtensions[0].String()))
	}
	return id, nil
}

// servesBoth reports whether the extended key usage, if there is one, covers
// TLS client and server: a node is both.
func servesBoth(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	has := func(u x509.ExtKeyUsage) bool { return slices.Contains(c.ExtKeyUsage, u) }
	return has(x509.ExtKeyUsageAny) || has(x509.ExtKeyUsageClientAuth) && has(x509.ExtKeyUsageServerAuth)
}

// LoadCertificate reads a file with ParseCertificate. Errors name the file.
func LoadCertificate(path string) (*Certificate, error) {
	data, err := readBounded(path, maxInput)
	if err != nil {
		return nil, err
	}
	c, err := ParseCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ID is the node's public key.
func (c *Certificate) ID() ID { return c.id }

// Label is the name the certificate gives its node, in normalised form; empty
// if it gives none.
func (c *Certificate) Label() string { return c.names.label }

// Consortium is the consortium the certificate itself names; mostly empty, as
// the root decides (see Peer.Consortium).
func (c *Certificate) Consortium() string { return c.names.consortium }

// Permissions are those the certificate lists; the slice belongs to the caller.
func (c *Certificate) Permissions() Permissions { return slices.Clone(c.names.permissions) }

// Chain is the DER of the certificates, leaf first. It is a copy.
func (c *Certificate) Chain() [][]byte { return cloneChain(c.chain) }

// Leaf is the node's own certificate; it must not be changed.
func (c *Certificate) Leaf() *x509.Certificate { return c.leaf }

// NotBefore is when the node's own certificate starts to be valid.
func (c *Certificate) NotBefore() time.Time { return c.leaf.NotBefore }

// NotAfter is when the node's own certificate expires.
func (c *Certificate) NotAfter() time.Time { return c.leaf.NotAfter }

// Fingerprint is SHA-256 over the DER of the whole chain, a key for caches.
func (c *Certificate) Fingerprint() [sha256.Size]byte { return c.fingerprint }

// MarshalPEM writes the chain as a PEM bundle, leaf first.
func (c *Certificate) MarshalPEM() []byte { return encodePEM(pemCertificate, c.chain...) }

// SelfSigned reports whether the node's own key signed the certificate. It
// verifies a signature, so callers keep the answer.
func (c *Certificate) SelfSigned() bool {
	return bytes.Equal(c.leaf.RawIssuer, c.leaf.RawSubject) &&
		c.leaf.CheckSignature(c.leaf.SignatureAlgorithm, c.leaf.RawTBSCertificate, c.leaf.Signature) == nil
}

// CheckTime returns ErrExpired, with the facts, if the node's own certificate
// is not valid at now. A start up to 2 minutes ahead is clock skew.
func (c *Certificate) CheckTime(now time.Time) error {
	if err := checkTime(c.leaf, now); err != nil {
		return fmt.Errorf("certificate of %s: %w", c.id, err)
	}
	return nil
}

// String names the node, for logs.
func (c *Certificate) String() string {
	if c.names.label == "" {
		return c.id.String()
	}
	return c.id.String() + " (" + c.names.label + ")"
}

func cloneChain(chain [][]byte) [][]byte {
	out := make([][]byte, len(chain))
	for i, der := range chain {
		out[i] = bytes.Clone(der)
	}
	return out
}
