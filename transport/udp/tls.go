package udp

import (
	"context"
	"crypto/tls"
	"encoding/base32"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// alpn names the protocol inside TLS; its number changes when streams do.
const alpn = "mcc/1"

// Alerts that say why a certificate was refused (RFC 8446 section 6.2).
const (
	alertBadCertificate     tls.AlertError = 42
	alertUnsupported        tls.AlertError = 43
	alertRevoked            tls.AlertError = 44
	alertExpired            tls.AlertError = 45
	alertCertificateUnknown tls.AlertError = 46
	alertUnknownCA          tls.AlertError = 48
	alertAccessDenied       tls.AlertError = 49
	alertCertRequired       tls.AlertError = 116
)

// base32Name writes an id into a DNS label: 52 of at most 63 characters.
var base32Name = base32.StdEncoding.WithPadding(base32.NoPadding)

// serverName is what a dialer asks for. It only separates peers from each other
// in whatever TLS and QUIC key by name; .invalid never resolves (RFC 6761).
func serverName(id identity.ID) string {
	return strings.ToLower(base32Name.EncodeToString(id[:])) + ".mcc.invalid"
}

// authenticator makes the TLS configurations of a node and checks its peers.
type authenticator struct {
	cert  tls.Certificate
	trust *identity.Trust
	// refused is told of every peer that dialed with a bad certificate.
	refused func(from net.Addr, err error)
}

// handshake is what one TLS handshake found out. It counts only when the
// handshake has completed: the certificate is checked before the proof that the
// peer holds its key.
type handshake struct {
	peer atomic.Pointer[identity.Peer]
}

// base is common to both sides.
//
// InsecureSkipVerify stops crypto/tls from matching DNS names and the system's
// roots, which mean nothing here; VerifyConnection, set by the callers, checks
// everything instead. Unlike VerifyPeerCertificate it runs on a resumed session
// too, and there are none: a session would outlive a revocation. Only X25519 is
// offered: with a hybrid key share the first flight no longer fits one packet.
func (a *authenticator) base() *tls.Config {
	return &tls.Config{
		Certificates:           []tls.Certificate{a.cert},
		MinVersion:             tls.VersionTLS13,
		MaxVersion:             tls.VersionTLS13,
		NextProtos:             []string{alpn},
		CurvePreferences:       []tls.CurveID{tls.X25519},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true,
		SessionTicketsDisabled: true,
	}
}

// client is the configuration of a dial to the peer want.
func (a *authenticator) client(want identity.ID, hs *handshake) *tls.Config {
	conf := a.base()
	conf.ServerName = serverName(want)
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		return a.verify(cs, want, hs)
	}
	return conf
}

// server is the configuration of the listener. Each handshake gets its own copy
// that knows who dials.
func (a *authenticator) server() *tls.Config {
	conf := a.base()
	conf.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		hs, ok := hello.Context().Value(handshakeKey{}).(*handshake)
		if !ok {
			return nil, errors.New("handshake without context")
		}
		from := hello.Conn.RemoteAddr()
		each := a.base()
		each.VerifyConnection = func(cs tls.ConnectionState) error {
			err := a.verify(cs, identity.ID{}, hs)
			if err != nil {
				a.refused(from, err)
			}
			return err
		}
		return each, nil
	}
	// Never used: quic-go wants a verifier nowhere, but a configuration that
	// slipped past GetConfigForClient must not accept anybody.
	conf.VerifyConnection = func(tls.ConnectionState) error {
		return errors.New("handshake was not prepared")
	}
	return conf
}

// handshakeKey is the context key of an incoming connection's *handshake.
type handshakeKey struct{}

// withHandshake is quic.Transport.ConnContext.
func withHandshake(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	return context.WithValue(ctx, handshakeKey{}, &handshake{}), nil
}

// verify is every check of a peer: version and protocol, the certificate's own
// rules, the expected id (zero for any) and trust at this moment.
func (a *authenticator) verify(cs tls.ConnectionState, want identity.ID, hs *handshake) error {
	if cs.Version != tls.VersionTLS13 || cs.NegotiatedProtocol != alpn {
		return fmt.Errorf("TLS %#x with protocol %q, expected 1.3 and %s", cs.Version, cs.NegotiatedProtocol, alpn)
	}
	chain := make([][]byte, len(cs.PeerCertificates))
	for i, c := range cs.PeerCertificates {
		chain[i] = c.Raw
	}
	cert, err := identity.CertificateFromDER(chain)
	if err != nil {
		return refusal(transport.ErrUntrusted, err)
	}
	if !want.IsZero() && cert.ID() != want {
		return refusal(transport.ErrPeerMismatch, fmt.Errorf("it is %s", cert.ID()))
	}
	peer, err := a.trust.Verify(cert, time.Now())
	if err != nil {
		return refusal(transport.ErrUntrusted, err)
	}
	hs.peer.Store(peer)
	return nil
}

// refusedError is a refused certificate. crypto/tls takes the alert from it.
type refusedError struct {
	kind  error // ErrUntrusted or ErrPeerMismatch
	cause error
	alert tls.AlertError
}

func (e *refusedError) Error() string   { return e.kind.Error() + ": " + e.cause.Error() }
func (e *refusedError) Unwrap() []error { return []error{e.kind, e.cause, e.alert} }

func refusal(kind, cause error) error {
	alert := alertBadCertificate
	switch {
	case errors.Is(cause, identity.ErrExpired):
		alert = alertExpired
	case errors.Is(cause, identity.ErrUntrusted):
		alert = alertUnknownCA
	}
	return &refusedError{kind: kind, cause: cause, alert: alert}
}

// aboutCertificate reports whether an alert of the peer says that it refused
// our certificate.
func aboutCertificate(alert tls.AlertError) bool {
	switch alert {
	case alertBadCertificate, alertUnsupported, alertRevoked, alertExpired,
		alertCertificateUnknown, alertUnknownCA, alertAccessDenied, alertCertRequired:
		return true
	}
	return false
}
