package identity

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

const redacted = "[redacted]"

// PrivateKey is an Ed25519 private key (RFC 8032). It is a crypto.Signer, prints
// and marshals as [redacted], and is safe to copy and for concurrent use. The
// zero PrivateKey is no key: its ID is zero and everything else fails with
// ErrBadKey.
type PrivateKey struct {
	// A function, because fmt reads unexported fields of others' structs
	// without asking Format, and follows pointers when a verb does not fit.
	reveal func() ed25519.PrivateKey
}

func conceal(key ed25519.PrivateKey) PrivateKey {
	return PrivateKey{func() ed25519.PrivateKey { return key }}
}

// GeneratePrivateKey makes a key from crypto/rand.
func GeneratePrivateKey() (PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("generate key: %w", err)
	}
	return conceal(key), nil
}

// PrivateKeyFromSeed is the key of an RFC 8032 seed; the same seed gives the
// same key.
func PrivateKeyFromSeed(seed [32]byte) PrivateKey {
	key := ed25519.NewKeyFromSeed(seed[:])
	return conceal(key)
}

// ParsePrivateKey reads PKCS#8 (RFC 5958, RFC 8410) as one PEM block or one
// base64 string. Anything but an unencrypted Ed25519 key is ErrBadKey with what
// it is instead. Errors hold nothing of the key.
func ParsePrivateKey(data []byte) (PrivateKey, error) {
	ders, err := decodeArmor(data, maxInput, pemPrivateKey)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: %w%s", ErrBadKey, err, keyHint(data))
	}
	if len(ders) != 1 {
		return PrivateKey{}, fmt.Errorf("%w: %d keys, expected one", ErrBadKey, len(ders))
	}
	key, err := parsePKCS8(ders[0])
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: %w", ErrBadKey, err)
	}
	return conceal(key), nil
}

// keyHint says what to do about well-known PEM frames that are not ours.
func keyHint(data []byte) string {
	text := string(data)
	switch {
	case strings.Contains(text, "ENCRYPTED"):
		return "; the key is encrypted, decrypt it with openssl pkey"
	case strings.Contains(text, "BEGIN CERTIFICATE"):
		return "; this is a certificate, not its key"
	case strings.Contains(text, " PRIVATE KEY-----"):
		return "; make one with openssl genpkey -algorithm ed25519"
	}
	return ""
}

func parsePKCS8(der []byte) (ed25519.PrivateKey, error) {
	// The standard parser ignores what follows the outer sequence.
	outer := cryptobyte.String(der)
	if !outer.SkipASN1(asn1.SEQUENCE) || !outer.Empty() {
		return nil, errors.New("not one DER sequence")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, foreignKey(der)
	}
	switch key := parsed.(type) {
	case ed25519.PrivateKey:
		return key, nil
	case *rsa.PrivateKey:
		return nil, errors.New("it is an RSA key")
	case *ecdsa.PrivateKey:
		return nil, errors.New("it is an EC key")
	case *ecdh.PrivateKey:
		return nil, errors.New("it is an X25519 key")
	}
	return nil, errors.New("it is a key of another kind")
}

// foreignKey finds out what DER that is no PKCS#8 holds. The standard errors
// are not passed on, so that none can quote the key.
func foreignKey(der []byte) error {
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return errors.New("it is an RSA key")
	}
	if _, err := x509.ParseECPrivateKey(der); err == nil {
		return errors.New("it is an EC key")
	}
	if _, err := x509.ParseCertificate(der); err == nil {
		return errors.New("it is a certificate, not its key")
	}
	// EncryptedPrivateKeyInfo is SEQUENCE { SEQUENCE {…}, OCTET STRING },
	// where PKCS#8 starts with the version, an INTEGER (RFC 5958 section 3).
	var inner cryptobyte.String
	outer := cryptobyte.String(der)
	if outer.ReadASN1(&inner, asn1.SEQUENCE) && inner.SkipASN1(asn1.SEQUENCE) &&
		inner.SkipASN1(asn1.OCTET_STRING) && inner.Empty() {
		return errors.New("it is encrypted, decrypt it with openssl pkey")
	}
	return errors.New("not PKCS#8")
}

// LoadPrivateKey reads a file with ParsePrivateKey. Errors name the file.
func LoadPrivateKey(path string) (PrivateKey, error) {
	data, err := readBounded(path, maxInput)
	if err != nil {
		return PrivateKey{}, err
	}
	key, err := ParsePrivateKey(data)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// MarshalPEM writes the key as a PKCS#8 PEM block. The caller keeps it secret.
func (k PrivateKey) MarshalPEM() ([]byte, error) {
	if k.reveal == nil {
		return nil, ErrBadKey
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.reveal())
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return encodePEM(pemPrivateKey, der), nil
}

// ID is the public key.
func (k PrivateKey) ID() ID {
	if k.reveal == nil {
		return ID{}
	}
	return ID(k.reveal()[ed25519.SeedSize:])
}

// Public is the public key, an ed25519.PublicKey, for crypto.Signer.
func (k PrivateKey) Public() crypto.PublicKey { return k.ID().PublicKey() }

// Sign signs message itself, not a hash of it, for crypto.Signer. Random is not
// used; opts must be crypto.Hash(0), as x509 and tls pass it.
func (k PrivateKey) Sign(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.reveal == nil {
		return nil, ErrBadKey
	}
	if err := checkPlain(opts); err != nil {
		return nil, err
	}
	return ed25519.Sign(k.reveal(), message), nil
}

// checkPlain refuses the variants Ed25519ph and Ed25519ctx: the other side
// verifies plain Ed25519.
func checkPlain(opts crypto.SignerOpts) error {
	if o, ok := opts.(*ed25519.Options); ok && o.Context != "" {
		return errors.New("sign: Ed25519 with a context is not supported")
	}
	if opts != nil && opts.HashFunc() != 0 {
		return errors.New("sign: Ed25519 signs messages, not hashes")
	}
	return nil
}

// x25519 is the same secret scalar on Curve25519 (RFC 7748): the first half of
// SHA-512 of the seed, which X25519 clamps as Ed25519 does (RFC 8032 5.1.5).
func (k PrivateKey) x25519() (*ecdh.PrivateKey, error) {
	if k.reveal == nil {
		return nil, ErrBadKey
	}
	h := sha512.Sum512(k.reveal().Seed())
	return ecdh.X25519().NewPrivateKey(h[:32])
}

// String is [redacted].
func (PrivateKey) String() string { return redacted }

// GoString is [redacted].
func (PrivateKey) GoString() string { return redacted }

// Format prints [redacted] for every verb.
func (PrivateKey) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalJSON writes "[redacted]".
func (PrivateKey) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText writes [redacted], for loggers and other encodings.
func (PrivateKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }
