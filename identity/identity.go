// Package identity says who a node is and what it may do.
//
// A node is its Ed25519 key: the [ID] is the public key and every other name
// (label, consortium) is a statement in a [Certificate] about that key. A
// [Trust] holds the root certificates the user believes and turns a certificate
// into a [Peer], the verified facts the rest of MCC acts on.
//
// Start with [NewRandom] or [Load] for an [Identity], and [NewTrust] for the
// other side.
package identity

import (
	"errors"
	"time"
)

// Identity is what a node needs of its own key. It has no getter for the
// private key, and Sign and ECDH may fail, so the key can live elsewhere (an
// agent, a smart card).
//
// Implementations must be safe for concurrent use. Callers keep ownership of
// the slices they pass; returned slices belong to the caller.
type Identity interface {
	// ID is the node's public key.
	ID() ID
	// Certificate is the node's own certificate, never nil.
	Certificate() *Certificate
	// Sign returns the 64-byte Ed25519 signature of msg (RFC 8032). The caller
	// separates domains by prefixing msg. It may block on an external key.
	Sign(msg []byte) (sig []byte, err error)
	// ECDH returns the X25519 secret (RFC 7748) between this key, mapped to
	// Curve25519 by the birational map, and peer, an X25519 public key. It
	// fails on a low-order peer key.
	ECDH(peer [32]byte) (secret [32]byte, err error)
}

// Peer is what a [Trust] has verified about another node. It is immutable once
// handed out.
type Peer struct {
	// ID is proven: the peer holds its private key.
	ID ID
	// Label is the human-readable name, lower-case letters and digits, at most
	// 30 bytes; empty if the certificate has none. In an open mesh it is the
	// peer's own claim.
	Label string
	// Consortium is the name of the root that certified the peer; empty in an
	// open mesh.
	Consortium string
	// Permissions are those the peer may use here: the certificate's own under
	// a CA, [OpenPermissions] in an open mesh.
	Permissions Permissions
	// NotAfter is when the certificate expires, or a CA's on the way to the
	// root, whichever is first; zero in an open mesh.
	NotAfter time.Time
}

// May reports whether the peer holds permission, such as "route" or
// "register:files". A nil peer may nothing.
func (p *Peer) May(permission string) bool {
	return p != nil && p.Permissions.Allow(permission)
}

// Conditions of this package, for errors.Is.
var (
	// ErrBadID: the text is no node id.
	ErrBadID = errors.New("not a node id")
	// ErrBadKey: the file or bytes hold no Ed25519 private key.
	ErrBadKey = errors.New("not an Ed25519 private key")
	// ErrBadCertificate: the certificate is malformed or breaks a rule of
	// contract section 2.
	ErrBadCertificate = errors.New("bad certificate")
	// ErrBadRequest: the certificate request is malformed or not signed by the
	// key it is for.
	ErrBadRequest = errors.New("bad certificate request")
	// ErrBadLabel: nothing is left of the label, or more than MaxLabel bytes.
	ErrBadLabel = errors.New("bad label")
	// ErrUntrusted: no trusted root certifies the certificate.
	ErrUntrusted = errors.New("not certified by a trusted CA")
	// ErrExpired: the certificate is not valid at this time.
	ErrExpired = errors.New("certificate is not valid now")
	// ErrMismatch: certificate and private key belong to different identities.
	ErrMismatch = errors.New("certificate and private key do not match")
)
