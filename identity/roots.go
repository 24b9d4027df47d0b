package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
)

// ParseRoots reads the CA certificates of -trust-ca: a PEM bundle, or one
// base64 DER certificate. Each must be a CA's; failures are ErrBadCertificate.
func ParseRoots(data []byte) ([]*x509.Certificate, error) {
	ders, err := decodeArmor(data, maxRootsInput, pemCertificate)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCertificate, err)
	}
	roots := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		if roots[i], err = parseCA(der); err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %w", ErrBadCertificate, i+1, err)
		}
		if _, err := RootConsortium(roots[i]); err != nil {
			return nil, err
		}
	}
	return roots, nil
}

// LoadRoots reads a file with ParseRoots. Errors name the file.
func LoadRoots(path string) ([]*x509.Certificate, error) {
	data, err := readBounded(path, maxRootsInput)
	if err != nil {
		return nil, err
	}
	roots, err := ParseRoots(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return roots, nil
}

// parseCA reads one certificate and checks that it may issue others.
func parseCA(der []byte) (*x509.Certificate, error) {
	if len(der) > MaxChainBytes {
		return nil, fmt.Errorf("over %d bytes", MaxChainBytes)
	}
	c, err := parseX509(der)
	if err != nil {
		return nil, err
	}
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		return nil, errors.New("not a CA certificate (basic constraints lack CA:TRUE)")
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, errors.New("key usage of the CA lacks keyCertSign")
	case len(c.UnhandledCriticalExtensions) > 0:
		return nil, fmt.Errorf("unknown critical extension %s", clip(c.UnhandledCriticalExtensions[0].String()))
	}
	switch c.PublicKeyAlgorithm {
	case x509.Ed25519, x509.ECDSA, x509.RSA:
	default:
		return nil, fmt.Errorf("CA key is %v, expected Ed25519, ECDSA or RSA", c.PublicKeyAlgorithm)
	}
	if _, err := parseNames(c.Extensions); err != nil {
		return nil, err
	}
	return c, nil
}
