//go:build !unix || solaris || aix

package bolt

import "os"

// unlock has nothing to do where closing the file releases its locks.
func unlock(*os.File) {}
