package udp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/quic-go/quic-go"

	"github.com/staex-mcc/mcc/transport"
)

// Application error codes of a QUIC connection (spec 4.6).
const (
	closeShutdown  quic.ApplicationErrorCode = 0 // the node stops
	closeIdle      quic.ApplicationErrorCode = 1 // no stream for long
	closeBusy      quic.ApplicationErrorCode = 2 // too many connections
	closeUntrusted quic.ApplicationErrorCode = 3 // the certificate ran out
)

// Error codes of a QUIC stream, in RESET_STREAM and STOP_SENDING.
const (
	streamClosed    quic.StreamErrorCode = 0 // closed: nobody reads any more
	streamReset     quic.StreamErrorCode = 1 // Reset was called
	streamBadHeader quic.StreamErrorCode = 2 // no valid opening header in time
	streamAbandoned quic.StreamErrorCode = 3 // the dialer gave up before an answer
	streamClogged   quic.StreamErrorCode = 4 // no room for the answer on this connection
)

// quic-go's errors wrap net.ErrClosed whatever happened, so none of them is
// ever wrapped here: each is turned into a condition of package transport, and
// its text stays out where the peer wrote it.

// lost says how a connection ended: as one of transport's conditions.
func lost(err error) error {
	if app, ok := errors.AsType[*quic.ApplicationError](err); ok {
		return closedBy(app)
	}
	if te, ok := errors.AsType[*quic.TransportError](err); ok {
		return broken(te)
	}
	if _, ok := errors.AsType[*quic.IdleTimeoutError](err); ok {
		return fmt.Errorf("%w: nothing heard for too long", transport.ErrPathLost)
	}
	if _, ok := errors.AsType[*quic.StatelessResetError](err); ok {
		return fmt.Errorf("%w: the peer has restarted", transport.ErrPathLost)
	}
	if errors.Is(err, quic.ErrTransportClosed) {
		return transport.ErrClosed
	}
	return fmt.Errorf("%w: %v", transport.ErrPathLost, err)
}

// closedBy is a connection that one side closed on purpose.
func closedBy(e *quic.ApplicationError) error {
	switch {
	case e.ErrorCode == closeUntrusted:
		return fmt.Errorf("%w: its certificate ran out", transport.ErrUntrusted)
	case !e.Remote && e.ErrorCode == closeShutdown:
		return transport.ErrClosed
	case e.ErrorCode == closeBusy:
		return &transport.RefusedError{Reason: transport.ReasonBusy, Text: "too many connections"}
	case e.Remote:
		return fmt.Errorf("%w: it closed the connection", transport.ErrReset)
	}
	return fmt.Errorf("%w: the connection was closed here", transport.ErrPathLost)
}

// broken is a connection that failed below the application.
func broken(e *quic.TransportError) error {
	if e.ErrorCode.IsCryptoError() {
		alert := tls.AlertError(e.ErrorCode - 0x100)
		if e.Remote && aboutCertificate(alert) {
			return fmt.Errorf("%w: the peer refused this node's certificate (%v)", transport.ErrUntrusted, alert)
		}
	}
	if e.ErrorCode == quic.ConnectionRefused {
		return &transport.RefusedError{Reason: transport.ReasonBusy, Text: "connection refused"}
	}
	return fmt.Errorf("%w: %v", transport.ErrPathLost, e.ErrorCode)
}

// dialFailed says why no connection came about.
func dialFailed(err error) error {
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused // our own check, and our own words
	}
	if _, ok := errors.AsType[*quic.HandshakeTimeoutError](err); ok {
		return fmt.Errorf("%w: the handshake timed out", transport.ErrNoAnswer)
	}
	if _, ok := errors.AsType[*quic.IdleTimeoutError](err); ok {
		return fmt.Errorf("%w to the handshake", transport.ErrNoAnswer)
	}
	if _, ok := errors.AsType[*quic.VersionNegotiationError](err); ok {
		return fmt.Errorf("%w: the peer speaks no QUIC v1", transport.ErrNoAnswer)
	}
	if err = lost(err); errors.Is(err, transport.ErrPathLost) {
		return fmt.Errorf("%w: %v", transport.ErrNoAnswer, err)
	}
	return err
}

// stale reports whether a connection from before ended so that a stream on it
// surely reached no living program: the same can be asked again elsewhere.
func stale(err error) bool {
	if app, ok := errors.AsType[*quic.ApplicationError](err); ok {
		return app.ErrorCode == closeIdle || app.ErrorCode == closeShutdown && app.Remote
	}
	_, reset := errors.AsType[*quic.StatelessResetError](err)
	return reset
}

// streamError maps what quic-go's stream returned; closed says that this side
// closed that direction itself.
func streamError(err error, closed bool) error {
	switch {
	case err == nil, err == io.EOF:
		return err
	case closed:
		return net.ErrClosed
	}
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		if _, idle := errors.AsType[*quic.IdleTimeoutError](err); !idle {
			return err // a deadline: os.ErrDeadlineExceeded, and a net.Error
		}
	}
	if se, ok := errors.AsType[*quic.StreamError](err); ok {
		if !se.Remote {
			return net.ErrClosed
		}
		if se.ErrorCode == streamClosed {
			return fmt.Errorf("%w: it closed the stream", transport.ErrReset)
		}
		return transport.ErrReset
	}
	if errors.Is(err, quic.ErrStreamClosed) {
		return net.ErrClosed
	}
	if err = lost(err); errors.Is(err, transport.ErrClosed) {
		return fmt.Errorf("%w: %w", transport.ErrClosed, net.ErrClosed)
	}
	return err
}
