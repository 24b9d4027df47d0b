package did

import (
	"crypto/elliptic"
	"math/big"
)

// checkJWK takes a public JSON Web Key (RFC 7517, 7518, 8037, 8812). Private
// members have been refused before; a kind of key that is unknown here passes.
func checkJWK(path string, value any) error {
	jwk, ok := value.(object)
	if !ok {
		return fault(path, "it must be an object")
	}
	kind, err := requireText(path, jwk, "kty")
	if err != nil {
		return err
	}
	switch kind {
	case "EC":
		return checkEC(path, jwk)
	case "OKP":
		return checkOKP(path, jwk)
	case "RSA":
		_, err := requireBytes(path, jwk, "n")
		if err == nil {
			_, err = requireBytes(path, jwk, "e")
		}
		return err
	case "oct":
		return fault(member(path, "kty"), "a symmetric key must not be published; use a public key")
	}
	return nil
}

// checkEC takes a point, which must be on its curve if that is known.
func checkEC(path string, jwk object) error {
	curve, err := requireText(path, jwk, "crv")
	if err != nil {
		return err
	}
	x, err := requireBytes(path, jwk, "x")
	if err != nil {
		return err
	}
	y, err := requireBytes(path, jwk, "y")
	if err != nil {
		return err
	}
	if !onCurve(curve, x, y) {
		return fault(path, "x and y are no point of %s", quote(curve))
	}
	return nil
}

func onCurve(name string, x, y []byte) bool {
	var curve elliptic.Curve
	switch name {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	case "secp256k1":
		return len(x) == 32 && len(y) == 32 && onSecp256k1(new(big.Int).SetBytes(x), new(big.Int).SetBytes(y))
	default:
		return true
	}
	// Coordinates have the full length (RFC 7518 6.2.1.2). The compressed form
	// leads to the one y of this sign, which must be the one given.
	size := (curve.Params().BitSize + 7) / 8
	if len(x) != size || len(y) != size {
		return false
	}
	_, root := elliptic.UnmarshalCompressed(curve, append([]byte{2 | y[size-1]&1}, x...))
	return root != nil && root.Cmp(new(big.Int).SetBytes(y)) == 0
}

// checkOKP takes a key of Curve25519, or of a curve that is unknown here.
func checkOKP(path string, jwk object) error {
	curve, err := requireText(path, jwk, "crv")
	if err != nil {
		return err
	}
	x, err := requireBytes(path, jwk, "x")
	if err != nil {
		return err
	}
	switch curve {
	case "Ed25519":
		err = multikey{ed25519Pub, x}.check()
	case "X25519":
		err = multikey{x25519Pub, x}.check()
	}
	if err != nil {
		return fault(member(path, "x"), "%v", err)
	}
	return nil
}

// requireBytes returns a property that must be base64url without padding.
func requireBytes(path string, o object, name string) ([]byte, error) {
	text, err := requireText(path, o, name)
	if err != nil {
		return nil, err
	}
	data, err := decodeBase64(text)
	if err != nil {
		return nil, fault(member(path, name), "%v", err)
	}
	return data, nil
}
