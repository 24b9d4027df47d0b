package did

import (
	"errors"
	"fmt"
	"math/big"
)

// secp256k1P is the prime of the field of secp256k1 (SEC 2, 2.4.1), 3 modulo 4.
func secp256k1P() *big.Int {
	p := new(big.Int).Lsh(big.NewInt(1), 256)
	return p.Sub(p, big.NewInt(1<<32+977))
}

// secp256k1Square is x³ + 7, the square of y where x is on the curve.
func secp256k1Square(x, p *big.Int) *big.Int {
	y2 := new(big.Int).Exp(x, big.NewInt(3), p)
	return y2.Mod(y2.Add(y2, big.NewInt(7)), p)
}

// checkSecp256k1 takes a compressed point. The keys are public, so that it need
// not run in constant time.
func checkSecp256k1(raw []byte) error {
	if len(raw) != 33 {
		return fmt.Errorf("a compressed secp256k1 key has 33 bytes, this one %d", len(raw))
	}
	p, x := secp256k1P(), new(big.Int).SetBytes(raw[1:])
	if raw[0] != 2 && raw[0] != 3 || x.Cmp(p) >= 0 || big.Jacobi(secp256k1Square(x, p), p) != 1 {
		return errors.New("the key is no compressed point of secp256k1")
	}
	return nil
}

// onSecp256k1 reports whether (x, y) is a point of the curve.
func onSecp256k1(x, y *big.Int) bool {
	p := secp256k1P()
	if x.Cmp(p) >= 0 || y.Cmp(p) >= 0 {
		return false
	}
	return new(big.Int).Exp(y, big.NewInt(2), p).Cmp(secp256k1Square(x, p)) == 0
}
