// Package ca is a small certificate authority for a consortium: one Ed25519 key
// in a folder, or in memory for tests. It is what mcc ca does; any X.509 tool
// can do the same.
//
// Start with [Init], then [Open] and [CA.Sign] for each node.
package ca

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/identity/internal/durable"
)

// Files of a CA, inside its folder.
const (
	certName = "ca.crt"
	keyName  = "ca.key"
)

const (
	day = 24 * time.Hour
	// defaultDays is the life of a root: ten years with their leap days.
	defaultDays = 3652
	// maxDays keeps the end within what X.509 tools accept (a century).
	maxDays = 36525
	// backdate starts certificates early for nodes whose clock is behind.
	backdate = time.Hour
)

// CA can certify nodes. It is immutable and safe for concurrent use.
type CA struct {
	key  identity.PrivateKey
	cert *x509.Certificate
}

// Options of a new CA. At least one of Name and Consortium is required.
type Options struct {
	// Name is the common name of the root. Empty is Consortium.
	Name string
	// Consortium is what nodes of this CA belong to, 1 to 64 bytes of
	// printable ASCII. Empty leaves it to Name.
	Consortium string
	// Days the root is valid from Now on; zero is ten years.
	Days int
	// Now is the time of making; the root is valid from an hour before. Zero
	// is the clock's.
	Now time.Time
}

// New makes a CA in memory.
func New(o Options) (*CA, error) {
	template, err := o.template()
	if err != nil {
		return nil, err
	}
	key, err := identity.GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign root: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign root: %w", err)
	}
	if _, err := identity.RootConsortium(cert); err != nil {
		return nil, err
	}
	return &CA{key, cert}, nil
}

func (o Options) template() (*x509.Certificate, error) {
	if o.Name == "" && o.Consortium == "" {
		return nil, errors.New("ca: a name or a consortium is required")
	}
	if o.Days < 0 || o.Days > maxDays {
		return nil, fmt.Errorf("ca: %d days, expected 1 to %d", o.Days, maxDays)
	}
	if o.Days == 0 {
		o.Days = defaultDays
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Name == "" {
		o.Name = o.Consortium
	}
	uris, err := identity.NameURIs("", o.Consortium, nil)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: o.Name},
		NotBefore:             o.Now.Add(-backdate),
		NotAfter:              o.Now.AddDate(0, 0, o.Days),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		URIs:                  uris,
	}, nil
}

// Init makes a CA and writes ca.key (mode 0600) and ca.crt into dir, which is
// made if missing. It replaces no file: the error is fs.ErrExist and names it.
func Init(dir string, o Options) (*CA, error) {
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	key, err := c.key.MarshalPEM()
	if err != nil {
		return nil, err
	}
	err = durable.Write(dir, false,
		durable.File{Name: keyName, Data: key, Mode: 0o600},
		durable.File{Name: certName, Data: c.MarshalPEM(), Mode: 0o644})
	if err != nil {
		return nil, fmt.Errorf("write ca: %w", err)
	}
	return c, nil
}

// Open reads a CA that Init, or openssl with an Ed25519 key, wrote. A key file
// that other users can read is refused.
func Open(dir string) (*CA, error) {
	keyPath, certPath := filepath.Join(dir, keyName), filepath.Join(dir, certName)
	if err := durable.CheckPrivate(keyPath); err != nil {
		return nil, err
	}
	key, err := identity.LoadPrivateKey(keyPath)
	if err != nil {
		return nil, err
	}
	roots, err := identity.LoadRoots(certPath)
	if err != nil {
		return nil, err
	}
	if len(roots) != 1 {
		return nil, fmt.Errorf("%s: %d certificates, expected the CA's own alone", certPath, len(roots))
	}
	if !key.ID().PublicKey().Equal(roots[0].PublicKey) {
		return nil, fmt.Errorf("%s and %s: %w", certPath, keyPath, identity.ErrMismatch)
	}
	return &CA{key, roots[0]}, nil
}

// Certificate is the CA's own, for identity.NewTrust; it must not be changed.
func (c *CA) Certificate() *x509.Certificate { return c.cert }

// Consortium is the name that the CA's nodes belong to.
func (c *CA) Consortium() string {
	name, _ := identity.RootConsortium(c.cert) // checked by New and LoadRoots
	return name
}

// String names the consortium, never the key.
func (c *CA) String() string { return "CA of " + c.Consortium() }
