package ca

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// DefaultLifetime of a node's certificate, when Leaf.Lifetime is zero.
const DefaultLifetime = 90 * day

// Leaf is what a CA states about a node. The zero Leaf certifies the request's
// label and permits nothing.
type Leaf struct {
	// Label is normalised; empty is the request's.
	Label string
	// Permissions are the node's. What the request asks for does not count.
	Permissions identity.Permissions
	// Lifetime counts from NotBefore; zero is DefaultLifetime.
	Lifetime time.Duration
	// NotBefore is the start. Zero is the clock's now, backdated by an hour at
	// most for nodes whose clock is behind.
	NotBefore time.Time
}

// Sign certifies the key of a request. Labels, permissions and times that no
// node would accept are errors, and so is an end after the CA's own.
func (c *CA) Sign(req *identity.Request, leaf Leaf) (*identity.Certificate, error) {
	if req == nil {
		return nil, errors.New("sign: no request")
	}
	template, err := c.template(req, leaf)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", req.ID(), err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, req.ID().PublicKey(), c.key)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", req.ID(), err)
	}
	cert, err := identity.CertificateFromDER([][]byte{der})
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", req.ID(), err)
	}
	return cert, nil
}

func (c *CA) template(req *identity.Request, leaf Leaf) (*x509.Certificate, error) {
	label := req.Label()
	if leaf.Label != "" {
		var err error
		if label, err = identity.NormalizeLabel(leaf.Label); err != nil {
			return nil, err
		}
	}
	permissions, err := identity.ParsePermissions(leaf.Permissions)
	if err != nil {
		return nil, err
	}
	uris, err := identity.NameURIs(label, "", permissions)
	if err != nil {
		return nil, err
	}
	start, end, err := c.validity(leaf)
	if err != nil {
		return nil, err
	}
	name := label
	if name == "" {
		name = req.ID().String()
	}
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             start,
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		URIs:                  uris,
	}, nil
}

func (c *CA) validity(leaf Leaf) (start, end time.Time, err error) {
	if leaf.Lifetime < 0 {
		return start, end, fmt.Errorf("lifetime %v is negative", leaf.Lifetime)
	}
	if leaf.Lifetime == 0 {
		leaf.Lifetime = DefaultLifetime
	}
	start = leaf.NotBefore
	end = start.Add(leaf.Lifetime)
	if start.IsZero() {
		now := time.Now()
		start, end = now.Add(-backdate), now.Add(leaf.Lifetime)
	}
	// A node's certificate outside the CA's own life would never count.
	if start.Before(c.cert.NotBefore) {
		start = c.cert.NotBefore
	}
	switch {
	case end.After(c.cert.NotAfter):
		return start, end, fmt.Errorf("the certificate would end at %s, after the CA's own at %s: choose a shorter life or renew the CA",
			end.UTC().Format(time.RFC3339), c.cert.NotAfter.UTC().Format(time.RFC3339))
	case !end.After(start):
		return start, end, fmt.Errorf("the certificate would end at %s, before it starts at %s",
			end.UTC().Format(time.RFC3339), start.UTC().Format(time.RFC3339))
	}
	return start, end, nil
}

// MarshalPEM is the CA's own certificate, for -trust-ca.
func (c *CA) MarshalPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})
}
