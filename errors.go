package mcc

import (
	"errors"
	"net"
	"syscall"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity/did"
	"github.com/staex-mcc/mcc/store/blob"
	"github.com/staex-mcc/mcc/store/swarm"
)

// Conditions of every Mesh, for errors.Is.
var (
	// ErrNotFound: there is no such thing.
	ErrNotFound = errors.New("not found")
	// ErrNoProvider: nobody offers the service.
	ErrNoProvider = errors.New("no provider")
	// ErrUnreachable: providers or the node are known, but none could be
	// reached.
	ErrUnreachable = errors.New("could not be reached")
	// ErrDenied: a permission or an allow list says no.
	ErrDenied = errors.New("not permitted")
	// ErrExists: the name is taken on this node.
	ErrExists = errors.New("already exists")
	// ErrAmbiguous: several nodes bear the label.
	ErrAmbiguous = errors.New("ambiguous")
	// ErrConflict: the stored state is another than the caller assumed.
	ErrConflict = errors.New("conflict")
	// ErrInvalid: an argument is malformed.
	ErrInvalid = errors.New("invalid")
	// ErrTooLarge: a value exceeds its bound.
	ErrTooLarge = errors.New("too large")
	// ErrUnsupported: the kind of thing is unknown here, as a DID method.
	ErrUnsupported = errors.New("not supported")
	// ErrDeactivated: the DID was given up by its controller.
	ErrDeactivated = errors.New("deactivated")
	// ErrDamaged: what was stored is not what is read back.
	ErrDamaged = errors.New("damaged")
	// ErrNoSpace: the disk of the data folder is full.
	ErrNoSpace = errors.New("no room left in the data folder")
	// ErrBusy: the other side is at a limit; trying again later may help.
	ErrBusy = errors.New("busy")
	// ErrInUse: the address or the data folder is taken by another process.
	ErrInUse = errors.New("in use")
	// ErrClosed: the node has been closed. It is a net.ErrClosed too.
	ErrClosed error = closedError{}
)

// closedError makes errors.Is(ErrClosed, net.ErrClosed) true, which is what
// servers such as net/http look for when a listener ends.
type closedError struct{}

func (closedError) Error() string        { return "node is closed" }
func (closedError) Is(target error) bool { return target == net.ErrClosed }

// sentinels are what the errors of the rooms below mean here. A room's error may
// wrap one of a room further down, so the upper rooms come first.
var sentinels = []struct{ below, here error }{
	{swarm.ErrNotFound, ErrNotFound},
	{swarm.ErrUnreachable, ErrUnreachable},
	{swarm.ErrBusy, ErrBusy},
	{swarm.ErrClosed, ErrClosed},
	{blob.ErrNotFound, ErrNotFound},
	{blob.ErrDamaged, ErrDamaged},
	{blob.ErrClosed, ErrClosed},
	{did.ErrInvalid, ErrInvalid},
	{did.ErrUnsupported, ErrUnsupported},
	{dht.ErrNotFound, ErrNotFound},
	{dht.ErrMalformed, ErrInvalid},
	{dht.ErrDenied, ErrDenied},
	{dht.ErrBusy, ErrBusy},
	{dht.ErrClosed, ErrClosed},
	{dht.ErrOutdated, ErrConflict},
	{syscall.ENOSPC, ErrNoSpace},
	{syscall.EDQUOT, ErrNoSpace},
}

// dataSentinel is the sentinel of this package that err means, or nil.
func dataSentinel(err error) error {
	for _, s := range sentinels {
		if !errors.Is(err, s.below) {
			continue
		}
		if errors.Is(err, s.here) {
			return nil // it says so already
		}
		return s.here
	}
	return nil
}
