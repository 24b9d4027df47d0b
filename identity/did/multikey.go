package did

import (
	"bytes"
	"crypto/ecdh"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mr-tron/base58"

	"github.com/staex-mcc/mcc/identity"
)

// Codes of public keys (multicodec table), which stand before the key as an
// unsigned varint.
const (
	secp256k1Pub = 0xe7
	x25519Pub    = 0xec
	ed25519Pub   = 0xed
	p256Pub      = 0x1200
	p384Pub      = 0x1201
	p521Pub      = 0x1202
)

// The multicodec table has private keys in this range.
const firstPriv, lastPriv = 0x1300, 0x13ff

// maxMultibase bounds the text of a key that is decoded: base58 takes the square
// of its length. The largest post-quantum signature key needs 3,600.
const maxMultibase = 4096

// multikey is a public key with its kind, as the data model Multikey has it
// (W3C Controlled Identifiers v1.0, 2.2.2).
type multikey struct {
	codec uint64
	raw   []byte
}

// parseMultikey decodes multibase text. A key of a known kind must be valid; one
// of another kind is returned as it is.
func parseMultikey(text string) (multikey, error) {
	data, err := decodeMultibase(text)
	if err != nil {
		return multikey{}, err
	}
	codec, n := binary.Uvarint(data)
	if n <= 0 || n != len(binary.AppendUvarint(nil, codec)) {
		return multikey{}, fmt.Errorf("%w: the key lacks the code of its kind (multicodec)", ErrInvalid)
	}
	if codec >= firstPriv && codec <= lastPriv {
		return multikey{}, fmt.Errorf("%w: it is a private key; take it out and stop using it", ErrInvalid)
	}
	k := multikey{codec, data[n:]}
	if err := k.check(); err != nil {
		return multikey{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return k, nil
}

// decodeMultibase takes the two bases of Multikey: base58btc and base64url
// without padding. A key has one text in each.
func decodeMultibase(text string) ([]byte, error) {
	if len(text) < 2 || len(text) > maxMultibase {
		return nil, fmt.Errorf("%w: a key in multibase has 2 to %d characters", ErrInvalid, maxMultibase)
	}
	switch text[0] {
	case 'z':
		data, err := base58.Decode(text[1:])
		if err != nil {
			return nil, fmt.Errorf("%w: what follows the z must be base58btc", ErrInvalid)
		}
		return data, nil
	case 'u':
		data, err := decodeBase64(text[1:])
		if err != nil {
			return nil, fmt.Errorf("%w: after the u, %w", ErrInvalid, err)
		}
		return data, nil
	}
	return nil, fmt.Errorf("%w: a key in multibase must begin with z (base58btc) or u (base64url)", ErrInvalid)
}

// decodeBase64 takes base64url as its encoder writes it, so without line breaks,
// which the decoder would skip.
func decodeBase64(text string) ([]byte, error) {
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(data) != text {
		return nil, errors.New("it must be base64url without padding")
	}
	return data, nil
}

// String is the key in multibase base58btc.
func (k multikey) String() string {
	return "z" + base58.Encode(append(binary.AppendUvarint(nil, k.codec), k.raw...))
}

// known reports whether check knows the kind.
func (k multikey) known() bool {
	switch k.codec {
	case ed25519Pub, x25519Pub, p256Pub, p384Pub, p521Pub, secp256k1Pub:
		return true
	}
	return false
}

// check says what is wrong with a key of a known kind.
func (k multikey) check() error {
	switch k.codec {
	case ed25519Pub:
		_, err := k.agreement()
		return err
	case x25519Pub:
		return checkX25519(k.raw)
	case p256Pub:
		return checkCompressed(elliptic.P256(), k.raw)
	case p384Pub:
		return checkCompressed(elliptic.P384(), k.raw)
	case p521Pub:
		return checkCompressed(elliptic.P521(), k.raw)
	case secp256k1Pub:
		return checkSecp256k1(k.raw)
	}
	return nil
}

// agreement is the X25519 key that belongs to an Ed25519 key (RFC 7748 4.1).
func (k multikey) agreement() (multikey, error) {
	if len(k.raw) != len(identity.ID{}) {
		return multikey{}, fmt.Errorf("an Ed25519 key has 32 bytes, this one %d", len(k.raw))
	}
	x, err := identity.ID(k.raw).X25519()
	if err != nil {
		return multikey{}, fmt.Errorf("the Ed25519 key is bad: %w", err)
	}
	return multikey{x25519Pub, x[:]}, nil
}

// checkX25519 refuses points of low order: with them every key agrees on zero.
func checkX25519(raw []byte) error {
	public, err := ecdh.X25519().NewPublicKey(raw)
	if err != nil {
		return fmt.Errorf("an X25519 key has 32 bytes, this one %d", len(raw))
	}
	any32, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		return err
	}
	if _, err := any32.ECDH(public); err != nil {
		return errors.New("the X25519 key has low order")
	}
	return nil
}

func checkCompressed(curve elliptic.Curve, raw []byte) error {
	size := 1 + (curve.Params().BitSize+7)/8
	if len(raw) != size {
		return fmt.Errorf("a compressed %s key has %d bytes, this one %d", curve.Params().Name, size, len(raw))
	}
	if x, _ := elliptic.UnmarshalCompressed(curve, raw); x == nil {
		return fmt.Errorf("the key is no compressed point of %s", curve.Params().Name)
	}
	return nil
}
