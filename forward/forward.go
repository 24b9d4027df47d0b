// Package forward carries bytes between local programs and services of the
// mesh: local listeners that lead to a service, the provider's side that leads
// to where the service really listens, and HTTP on both.
//
// It knows no mesh: whoever uses it hands in a [Dialer]. [Entrances] are the
// local ports and [Gateway] the HTTP entrance on the caller's node; a [Backend]
// stands on the provider's node between an incoming stream and the service.
package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// Dialer opens a connection to a provider of service. It tries the next
// provider when one cannot be reached, and blocks until connected, refused by
// all, or ctx ends.
//
// The connection belongs to the caller. Half-closes reach the other end if it
// has CloseWrite() error, resets if it has Reset().
type Dialer func(ctx context.Context, service string, choice Choice) (net.Conn, error)

// Choice narrows which provider is taken. The zero Choice is the nearest of
// all.
type Choice struct {
	// Policy is "nearest" (also the empty string), "random", "round-robin",
	// "weighted" or "sticky".
	Policy string
	// From limits the providers, "id:z6Mk…"; empty is all.
	From []string
	// Node is the id or label of the only provider wanted; empty is any.
	Node string
	// Tag must be among the provider's tags; empty is any.
	Tag string
	// Key is who a sticky choice sticks to. [Entrances] and [Gateway] set it to
	// the client's IP address if it is empty.
	Key string
	// HTTP asks the provider's node to treat the stream as HTTP/1.1 and to add
	// the caller's identity as headers.
	HTTP bool
}

// Caller is who uses a service, from the verified certificate.
type Caller struct {
	ID, Label, Consortium string
}

// Conditions, for errors.Is.
var (
	// ErrInvalid: an address, policy, health check or spec is malformed.
	ErrInvalid = errors.New("invalid")
	// ErrUnsupported: a kind of address that MCC knows but this version does
	// not carry.
	ErrUnsupported = errors.New("not supported by this version")
	// ErrNotFound: there is no such entrance.
	ErrNotFound = errors.New("not found")
	// ErrExists: the very same entrance is open already.
	ErrExists = errors.New("already exists")
	// ErrBusy: a limit on connections is reached; another provider may do.
	ErrBusy = errors.New("busy")
	// ErrClosed: the entrances, backend or gateway have been closed. It is a
	// net.ErrClosed too.
	ErrClosed = fmt.Errorf("forwarding has ended: %w", net.ErrClosed)
)
