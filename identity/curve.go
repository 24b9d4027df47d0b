package identity

import (
	"bytes"
	"errors"

	"filippo.io/edwards25519"
)

// X25519 maps the Ed25519 public key to Curve25519 by the birational map of RFC
// 7748 section 4.1, for key agreement. It refuses what is no canonical point
// and points of low order, with which every key agrees on the same secret.
func (id ID) X25519() ([32]byte, error) {
	point, err := new(edwards25519.Point).SetBytes(id[:])
	if err != nil || !bytes.Equal(point.Bytes(), id[:]) {
		return [32]byte{}, errors.New("public key is no canonical curve point")
	}
	cleared := new(edwards25519.Point).MultByCofactor(point)
	if cleared.Equal(edwards25519.NewIdentityPoint()) == 1 {
		return [32]byte{}, errors.New("public key has low order")
	}
	return [32]byte(point.BytesMontgomery()), nil
}
