package did

import (
	"fmt"
	"strings"
)

// Key generates the document of a did:key (The did:key Method v0.7, 3.1): the
// key as a Multikey, for all purposes of a signature, and with an Ed25519 key
// the X25519 key derived from it, for key agreement. An X25519 key serves key
// agreement alone. The same DID gives the same bytes; they suit JSON and
// JSON-LD (application/did+json and application/did+ld+json).
//
// Keys are Ed25519, X25519, P-256, P-384, P-521 and secp256k1; another kind, or
// another method, is ErrUnsupported, and a DID that holds no valid key
// ErrInvalid.
func Key(d DID) ([]byte, error) {
	k, err := parseDIDKey(d)
	if err != nil {
		return nil, err
	}
	doc := newDocument(d)
	switch k.codec {
	case x25519Pub:
		doc.addAgreement(k)
	case ed25519Pub:
		doc.addSigning(k)
		agreement, err := k.agreement()
		if err != nil {
			return nil, err
		}
		doc.addAgreement(agreement)
	default:
		doc.addSigning(k)
	}
	return marshal(doc), nil
}

// parseDIDKey returns the key that a did:key is.
func parseDIDKey(d DID) (multikey, error) {
	if d.method != MethodKey {
		return multikey{}, fmt.Errorf("DID method %s: %w", quote(d.method), ErrUnsupported)
	}
	if !strings.HasPrefix(d.id, "z") {
		return multikey{}, invalidDID(d.String(), "what follows did:key: must begin with z (base58btc)")
	}
	k, err := parseMultikey(d.id)
	if err != nil {
		return multikey{}, fmt.Errorf("DID %s: %w", quote(d.String()), err)
	}
	if !k.known() {
		return multikey{}, fmt.Errorf("DID %s: %w: kind of key 0x%x", quote(d.String()), ErrUnsupported, k.codec)
	}
	return k, nil
}
