package swarm

import (
	"errors"
	"fmt"

	"github.com/staex-mcc/mcc/store/blob"
)

// unreachable tells what the last seeder failed with, if any did, without being
// that error: a seeder that was not found must not look like a BLOB that nobody
// has.
func unreachable(last error) error {
	switch {
	case last == nil:
		return ErrUnreachable
	case errors.Is(last, blob.ErrMismatch):
		return lastError{fmt.Sprintf("%v: %v", ErrUnreachable, last), []error{ErrUnreachable, blob.ErrMismatch}}
	}
	return fmt.Errorf("%w: %v", ErrUnreachable, last)
}

// lastError has a text of its own.
type lastError struct {
	text string
	is   []error
}

func (e lastError) Error() string   { return e.text }
func (e lastError) Unwrap() []error { return e.is }
