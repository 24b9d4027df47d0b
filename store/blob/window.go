package blob

import (
	"errors"
	"io"
	"sync"
)

const (
	// windowGroups is how many groups Put reads before it hashes and writes them.
	windowGroups = 16
	windowSize   = windowGroups * GroupSize

	// emptyReads is how often in a row a reader may return nothing at all.
	emptyReads = 100
)

// window is a run of groups of the content. Its start is a multiple of
// windowSize.
type window struct {
	buf   []byte // windowSize
	n     int    // how much of buf counts
	start int64  // bytes
}

func newWindow() *window { return &window{buf: make([]byte, windowSize)} }

// fill reads from r until w is full or r has ended, which last tells. It is not
// io.ReadFull, which hides whether an io.ErrUnexpectedEOF is r's own: the sign of
// an upload that was cut off.
func (w *window) fill(r io.Reader) (last bool, err error) {
	w.n = 0
	for empty := 0; w.n < len(w.buf); {
		got, err := r.Read(w.buf[w.n:])
		if got < 0 || got > len(w.buf)-w.n {
			return false, errors.New("reader returned an impossible count")
		}
		w.n += got
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if empty++; got > 0 {
			empty = 0
		}
		if empty == emptyReads {
			return false, io.ErrNoProgress
		}
	}
	return false, nil
}

// group is the i-th group of the window with room for a whole one.
func (w *window) group(i int) *group {
	return (*group)(w.buf[i*GroupSize : (i+1)*GroupSize])
}

// hashes are the chaining values of the groups, on two cores if there are.
func (w *window) hashes() []value {
	values := make([]value, (w.n+GroupSize-1)/GroupSize)
	half := len(values) / 2
	var wg sync.WaitGroup
	wg.Go(func() { w.hash(values[:half], 0) })
	w.hash(values[half:], half)
	wg.Wait()
	return values
}

func (w *window) hash(into []value, from int) {
	base := uint64(w.start / GroupSize)
	for i := range into {
		g := from + i
		into[i] = w.group(g).hash(min(GroupSize, w.n-g*GroupSize), base+uint64(g), false)
	}
}
