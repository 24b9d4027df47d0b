package client

import (
	"fmt"
	"io"

	mcc "github.com/staex-mcc/mcc"
)

var errSurplus = fmt.Errorf("%w: the node sends more than was asked for", mcc.ErrDamaged)

// span is a body that must have as many bytes as were asked for.
type span struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader. Behind the last byte it looks whether there is
// another one, also for an empty p.
func (s *span) Read(p []byte) (int, error) {
	if s.left > 0 {
		n, err := s.ReadCloser.Read(p[:min(int64(len(p)), s.left)])
		s.left -= int64(n)
		return n, err
	}
	n, err := io.ReadFull(s.ReadCloser, make([]byte, 1))
	if n > 0 {
		return 0, errSurplus
	}
	return 0, err
}
