package identity

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"time"
)

// Life of a self-signed certificate, around its making.
const (
	selfSignedBefore = time.Hour
	selfSignedYears  = 10
)

// Local is an [Identity] whose key is in memory. It is safe for concurrent use.
type Local struct {
	key  PrivateKey
	dh   func() *ecdh.PrivateKey // a function for the reason PrivateKey has
	cert *Certificate
}

var _ Identity = (*Local)(nil)

// New joins a key and its certificate. ErrMismatch says that they are of two
// identities, ErrBadKey that the key is zero.
func New(key PrivateKey, cert *Certificate) (*Local, error) {
	if cert == nil || cert.leaf == nil {
		return nil, fmt.Errorf("%w: none given", ErrBadCertificate)
	}
	dh, err := key.x25519()
	if err != nil {
		return nil, err
	}
	if key.ID() != cert.ID() {
		return nil, fmt.Errorf("%w: the certificate is of %s, the key of %s", ErrMismatch, cert.ID(), key.ID())
	}
	return &Local{key, func() *ecdh.PrivateKey { return dh }, cert}, nil
}

// NewRandom makes a fresh key and signs a certificate with it: mcc:perm:all,
// valid from an hour before now for ten years. The label is normalised; empty
// is a random word.
func NewRandom(label string, now time.Time) (*Local, error) {
	key, err := GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	if label == "" {
		label = RandomLabel()
	}
	return selfSigned(key, label, now, nil)
}

// FromSeed is NewRandom for tests that repeat: key, certificate and, if label
// is empty, the word follow from the arguments alone.
func FromSeed(seed [32]byte, label string, now time.Time) (*Local, error) {
	key := PrivateKeyFromSeed(seed)
	id := key.ID()
	sum := sha256.Sum256(id[:])
	if label == "" {
		label = wordFrom([labelSyllables]byte(sum[:labelSyllables]))
	}
	sum[0] &= 0x7f // keeps the serial within the 20 bytes of RFC 5280 4.1.2.2
	return selfSigned(key, label, now, new(big.Int).SetBytes(sum[:16]))
}

// Load reads an identity from its two files. Errors name the file at fault.
func Load(certPath, keyPath string) (*Local, error) {
	cert, err := LoadCertificate(certPath)
	if err != nil {
		return nil, err
	}
	key, err := LoadPrivateKey(keyPath)
	if err != nil {
		return nil, err
	}
	local, err := New(key, cert)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certPath, keyPath, err)
	}
	return local, nil
}

// selfSigned makes the identity of key; a nil serial is random.
func selfSigned(key PrivateKey, label string, now time.Time, serial *big.Int) (*Local, error) {
	label, err := NormalizeLabel(label)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: label},
		NotBefore:             now.Add(-selfSignedBefore),
		NotAfter:              now.AddDate(selfSignedYears, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		URIs:                  names{label: label, permissions: Permissions{"all"}}.uris(),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign own certificate: %w", err)
	}
	cert, err := CertificateFromDER([][]byte{der})
	if err != nil {
		return nil, err
	}
	return New(key, cert)
}

// ID is the public key.
func (l *Local) ID() ID { return l.cert.ID() }

// Certificate is the own certificate.
func (l *Local) Certificate() *Certificate { return l.cert }

// Sign signs msg with the key in memory; it does not fail.
func (l *Local) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(l.key.reveal(), msg), nil }

// ECDH agrees on a secret with an X25519 public key and fails on one of low
// order.
func (l *Local) ECDH(peer [32]byte) ([32]byte, error) {
	public, err := ecdh.X25519().NewPublicKey(peer[:])
	if err != nil {
		return [32]byte{}, fmt.Errorf("ecdh: %w", err)
	}
	secret, err := l.dh().ECDH(public)
	if err != nil {
		return [32]byte{}, fmt.Errorf("ecdh: %w", err)
	}
	return [32]byte(secret), nil
}

// Format prints the node's name for every verb, never the key.
func (l *Local) Format(f fmt.State, _ rune) { io.WriteString(f, l.cert.String()) }

// MarshalText writes the node's name, for loggers and JSON.
func (l *Local) MarshalText() ([]byte, error) { return []byte(l.cert.String()), nil }

// signer lets crypto/tls and crypto/x509 use any Identity.
type signer struct{ own Identity }

// Signer is the identity as a crypto.Signer for plain Ed25519.
func Signer(own Identity) crypto.Signer { return signer{own} }

func (s signer) Public() crypto.PublicKey { return s.own.ID().PublicKey() }

func (s signer) Sign(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := checkPlain(opts); err != nil {
		return nil, err
	}
	return s.own.Sign(message)
}

// TLSCertificate is the identity as crypto/tls wants it. The key stays behind
// the identity.
func TLSCertificate(own Identity) tls.Certificate {
	cert := own.Certificate()
	return tls.Certificate{
		Certificate:                  cert.Chain(),
		PrivateKey:                   Signer(own),
		SupportedSignatureAlgorithms: []tls.SignatureScheme{tls.Ed25519},
		Leaf:                         cert.Leaf(),
	}
}
