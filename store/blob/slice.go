package blob

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// sliceBuffer is how much of a slice is read or written at once.
const sliceBuffer = 64 << 10

// SliceSize is how many bytes WriteSlice writes for the groups [first, first+n)
// of a BLOB of that size in bytes. It is 0 for the empty BLOB and for groups that
// the BLOB does not have.
func SliceSize(size int64, first, n uint64) int64 {
	if checkSlice(size, first, n) != nil {
		return 0
	}
	data := min(size, int64(first+n)*GroupSize) - int64(first)*GroupSize
	return data + pairSize*int64(nodesAbove(whole(size), first, first+n))
}

// nodesAbove counts the nodes of s that have one of the groups [first, end)
// under them.
func nodesAbove(s span, first, end uint64) uint64 {
	if !s.meets(first, end) {
		return 0
	}
	if s.within(first, end) || s.n == 1 {
		return s.n - 1
	}
	left, right := s.children()
	return 1 + nodesAbove(left, first, end) + nodesAbove(right, first, end)
}

// ReadSlice reads from r the slice that WriteSlice writes for the groups
// [first, first+n) of the BLOB id (docs/spec.md, slices): exactly SliceSize
// bytes, none after. Each node and group is compared with the id before it goes
// to sink; the first that is not the BLOB's ends the call with ErrMismatch, a
// stream that ends early with io.ErrUnexpectedEOF. It blocks as r and sink do,
// and needs about 100 KiB of memory whatever the size.
//
// What is proven when: a group that sink has been handed is that of the BLOB, at
// that place and of that length, even if size is false. The size itself is
// proven once the last group, Groups(size)-1, has been handed on: no other size
// has a verifiable group there. Before that a false size may go unnoticed, so
// who does not know the size for sure asks for the last group first.
//
// ErrRange means that the BLOB has no such groups, ErrTooLarge that size is over
// MaxSize.
func ReadSlice(r io.Reader, id ID, size int64, first, n uint64, sink Sink) error {
	if err := checkSlice(size, first, n); err != nil {
		return fmt.Errorf("read slice: %w", err)
	}
	length := SliceSize(size, first, n)
	buffered := bufio.NewReaderSize(io.LimitReader(r, length), int(min(sliceBuffer, max(length, 1))))
	w := walk{
		ctx:   context.Background(),
		from:  stream{buffered},
		to:    sink,
		size:  size,
		first: first,
		end:   first + n,
		room:  new(group),
		wrong: func(s span) error { return fmt.Errorf("%s: %w", s, ErrMismatch) },
	}
	if err := w.run(id); err != nil {
		return fmt.Errorf("read slice of %s: %w", id, err)
	}
	return nil
}

func checkSlice(size int64, first, n uint64) error {
	if err := checkSize(size); err != nil {
		return err
	}
	if groups := Groups(size); n == 0 || first >= groups || n > groups-first {
		return fmt.Errorf("%d groups from %d of %d: %w", n, first, groups, ErrRange)
	}
	return nil
}

func checkSize(size int64) error {
	switch {
	case size < 0:
		return fmt.Errorf("size %d: %w", size, ErrRange)
	case size > MaxSize:
		return fmt.Errorf("size %d, at most %d: %w", size, int64(MaxSize), ErrTooLarge)
	}
	return nil
}

// stream is the source of a slice that arrives: the order is that of the walk.
type stream struct{ r *bufio.Reader }

func (s stream) node(_ uint64, into *pair) error { return s.group(0, into[:]) }
func (s stream) group(_ uint64, into []byte) error {
	_, err := io.ReadFull(s.r, into)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// sliceWriter is the sink that sends a slice.
type sliceWriter struct{ w *bufio.Writer }

func (s sliceWriter) Node(_ uint64, node *[64]byte) error {
	_, err := s.w.Write(node[:])
	return err
}

func (s sliceWriter) Group(_ uint64, data []byte) error {
	_, err := s.w.Write(data)
	return err
}

func newSliceWriter(w io.Writer, length int64) sliceWriter {
	return sliceWriter{bufio.NewWriterSize(w, int(min(sliceBuffer, max(length, 1))))}
}
