package blob

import "errors"

// Conditions of this package, for errors.Is.
var (
	// ErrNotFound: no whole BLOB of that id is here.
	ErrNotFound = errors.New("blob not found")
	// ErrDamaged: what is on disk is not what was put there.
	ErrDamaged = errors.New("blob is damaged")
	// ErrMismatch: what arrived does not belong to the id and size it was asked
	// for.
	ErrMismatch = errors.New("does not match the blob")
	// ErrMissing: some of the groups have not arrived yet.
	ErrMissing = errors.New("not all of the blob is here yet")
	// ErrExists: the whole BLOB is here already, or its fetch is under way with
	// another size.
	ErrExists = errors.New("blob exists")
	// ErrRange: a size, offset or group that no BLOB, or not this one, has.
	ErrRange = errors.New("outside of the blob")
	// ErrTooLarge: over MaxSize.
	ErrTooLarge = errors.New("blob too large")
	// ErrInUse: another Store has the folder open.
	ErrInUse = errors.New("blob folder is in use")
	// ErrClosed: the Store, Blob or Partial has been closed.
	ErrClosed = errors.New("blob store is closed")
)
