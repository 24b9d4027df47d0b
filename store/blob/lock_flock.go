//go:build unix && !solaris && !aix

package blob

import (
	"errors"
	"os"
	"syscall"
)

// lockFile locks f until it is closed or the process ends, or returns ErrInUse. A
// file system without locks leaves the folder to the caller's care.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return ErrInUse
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOLCK):
		return nil
	}
	return err
}
