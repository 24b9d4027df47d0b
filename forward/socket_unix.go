//go:build unix

package forward

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// ownerOnly sets the mode of a socket before it is bound, from which Linux
// takes the mode of the file: there is no moment at which others may connect.
// Other systems refuse, and the mode is set right after.
func ownerOnly(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), socketMode) })
}

func portableInUse(err error) error { return err }
