//go:build unix && !solaris && !aix

package bolt

import (
	"os"
	"syscall"
)

// unlock releases bbolt's lock: closing the file is not enough while a mapping
// of it lives on.
func unlock(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
}
