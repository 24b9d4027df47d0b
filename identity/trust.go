package identity

import (
	"crypto/x509"
	"fmt"
	"time"
)

// clockSkew is how far ahead a certificate's start may lie: a CA's clock and
// ours differ. There is no such grace at its end.
const clockSkew = 2 * time.Minute

// Trust decides which certificates count. It holds the roots the user believes;
// none at all, or a nil *Trust, is an open mesh, where everybody counts. It is
// immutable and safe for concurrent use.
type Trust struct {
	roots int
	pool  *x509.CertPool
}

// NewTrust believes the given CAs; no roots make an open mesh. A root that is
// no CA or founds no consortium is ErrBadCertificate. Two roots may found the
// same consortium, as when a CA's key is replaced.
func NewTrust(roots []*x509.Certificate) (*Trust, error) {
	t := &Trust{roots: len(roots), pool: x509.NewCertPool()}
	for _, given := range roots {
		if given == nil {
			return nil, fmt.Errorf("%w: nil root", ErrBadCertificate)
		}
		root, err := parseCA(given.Raw) // our own copy
		if err != nil {
			return nil, fmt.Errorf("%w: CA %q: %w", ErrBadCertificate, clip(given.Subject.CommonName), err)
		}
		if _, err := RootConsortium(root); err != nil {
			return nil, err
		}
		t.pool.AddCert(root)
	}
	return t, nil
}

// Open reports whether everybody counts, since no root is trusted.
func (t *Trust) Open() bool { return t == nil || t.roots == 0 }

// Verify turns a certificate into the facts believed about its node at now. The
// caller has proof that the node holds the key.
//
// With roots the certificate must lead to one of them, through intermediates it
// brought along: else ErrUntrusted, or ErrExpired if only the time is wrong;
// both say who and when. In an open mesh any certificate counts, for
// [OpenPermissions] only and without regard to time.
func (t *Trust) Verify(cert *Certificate, now time.Time) (*Peer, error) {
	if cert == nil || cert.leaf == nil {
		return nil, fmt.Errorf("%w: none given", ErrBadCertificate)
	}
	if t.Open() {
		return OpenPeer(cert.id, cert.names.label), nil
	}
	if err := cert.CheckTime(now); err != nil {
		return nil, err
	}
	chains, err := t.chains(cert, now)
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", cert, err)
	}
	chain, consortium, err := pick(chains)
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", cert, err)
	}
	return &Peer{
		ID:          cert.id,
		Label:       cert.names.label,
		Consortium:  consortium,
		Permissions: cert.Permissions(),
		NotAfter:    endOf(chain),
	}, nil
}

// endOf is when the first certificate of a chain expires: none outlives its CA.
func endOf(chain []*x509.Certificate) time.Time {
	end := chain[0].NotAfter
	for _, ca := range chain[1:] {
		if ca.NotAfter.Before(end) {
			end = ca.NotAfter
		}
	}
	return end
}

// OpenPeer is a node of an open mesh as its label claims it, with
// [OpenPermissions]: certificates are not always sent there. A label that
// cannot be normalised is dropped.
func OpenPeer(id ID, label string) *Peer {
	normal, err := NormalizeLabel(label)
	if err != nil {
		normal = ""
	}
	return &Peer{ID: id, Label: normal, Permissions: OpenPermissions()}
}

// chains finds the ways from cert to a root. The standard library checks
// signatures, basic constraints, path lengths, key usage, name constraints and
// times.
func (t *Trust) chains(cert *Certificate, now time.Time) ([][]*x509.Certificate, error) {
	chains, err := t.verifyAt(cert, now)
	if err != nil {
		// Fresh certificates of a CA whose clock is ahead, up to the skew.
		chains, err = t.verifyAt(cert, now.Add(clockSkew))
	}
	if err == nil {
		return chains, nil
	}
	// Was it only the time of a CA on the way? At its issue a sound
	// certificate had a sound chain.
	if past, pastErr := t.verifyAt(cert, cert.leaf.NotBefore); pastErr == nil {
		for _, ca := range past[0][1:] {
			if err := checkTime(ca, now); err != nil {
				return nil, fmt.Errorf("CA %q: %w", clip(ca.Subject.CommonName), err)
			}
		}
	}
	return nil, fmt.Errorf("%w: issued by %q: %w", ErrUntrusted, clip(cert.leaf.Issuer.CommonName), bounded(err))
}

func (t *Trust) verifyAt(cert *Certificate, at time.Time) ([][]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, ca := range cert.cas {
		between.AddCert(ca)
	}
	return cert.leaf.Verify(x509.VerifyOptions{
		Roots:         t.pool,
		Intermediates: between,
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, // pick asks for more
	})
}

// pick takes the first chain that is in order and returns it with the consortium
// of its root.
func pick(chains [][]*x509.Certificate) ([]*x509.Certificate, string, error) {
	err := ErrUntrusted
	for _, chain := range chains {
		var name string
		if name, err = consortiumOf(chain); err == nil {
			return chain, name, nil
		}
	}
	return nil, "", err
}

// consortiumOf is the root's consortium, if no certificate below names another
// or is confined to being only client or only server.
func consortiumOf(chain []*x509.Certificate) (string, error) {
	last := len(chain) - 1
	name, err := RootConsortium(chain[last])
	if err != nil {
		return "", err
	}
	for _, c := range chain[:last] {
		n, err := parseNames(c.Extensions)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrBadCertificate, err)
		}
		if n.consortium != "" && n.consortium != name {
			return "", fmt.Errorf("%w: it names consortium %q, but its CA is of %q", ErrUntrusted, n.consortium, name)
		}
		if !servesBoth(c) {
			return "", fmt.Errorf("%w: CA %q may not issue for both client and server", ErrUntrusted, clip(c.Subject.CommonName))
		}
	}
	return name, nil
}

// checkTime returns ErrExpired, with the date, if c is not valid at now.
func checkTime(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Add(clockSkew).Before(c.NotBefore):
		return fmt.Errorf("%w: valid from %s, and now is %s", ErrExpired, stamp(c.NotBefore), stamp(now))
	case now.After(c.NotAfter):
		return fmt.Errorf("%w: expired at %s, and now is %s", ErrExpired, stamp(c.NotAfter), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
