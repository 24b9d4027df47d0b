//go:build !unix

package forward

import (
	"errors"
	"fmt"
	"syscall"
)

// wsaeAddrInUse is what Windows says for an address in use; Go's EADDRINUSE
// there is an invented number that no call returns.
const wsaeAddrInUse = syscall.Errno(10048)

func ownerOnly(_, _ string, _ syscall.RawConn) error { return nil }

func portableInUse(err error) error {
	if errors.Is(err, wsaeAddrInUse) {
		return fmt.Errorf("%w: %w", syscall.EADDRINUSE, err)
	}
	return err
}
