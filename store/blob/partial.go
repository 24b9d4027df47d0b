package blob

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
)

// Partial is a handle on a BLOB that is being fetched: a file with holes, the
// nodes of the tree known so far, and the set of groups that are there. It
// survives a crash; what came in after the last save, at most about 32 MiB, is
// fetched again. It is safe for concurrent use.
//
// All handles of one id share the fetch, and each is closed by who asked for it.
type Partial struct {
	f      *fetch
	closed atomic.Bool
}

// ID is that of the BLOB.
func (p *Partial) ID() ID { return p.f.id }

// Size is the one given to Store.Partial. It is proven as soon as the last group
// is here.
func (p *Partial) Size() int64 { return p.f.size }

// Have is how many bytes of the content are here.
func (p *Partial) Have() int64 { return p.f.bytesHere() }

// Sink is where ReadSlice puts what it has verified. It is safe for concurrent
// use by several of them, and takes nothing else: it believes what it is handed.
// A group counts once it is written; now and then Group saves, and then blocks as
// the disk does. After Discard and Store.Close it returns ErrClosed; after
// Complete it ignores what comes.
func (p *Partial) Sink() Sink { return p.f.sink }

// Has says whether all groups of [first, first+n) are here. It is false for
// groups that the BLOB does not have, and for none.
func (p *Partial) Has(first, n uint64) bool { return p.f.has(first, n) }

// Missing yields the runs of groups that are not here, each as the first and how
// many, from the front. Groups that come in meanwhile may or may not be among
// them; the loop may use the Partial.
func (p *Partial) Missing() iter.Seq2[uint64, uint64] {
	return func(yield func(uint64, uint64) bool) {
		for first, n := p.f.missing(0); n > 0; first, n = p.f.missing(first + n) {
			if !yield(first, n) {
				return
			}
		}
	}
}

// ReadAt is that of io.ReaderAt, verified like Blob.ReadAt. At the first group
// that is not here yet it returns what it has with ErrMissing. A group found to
// be wrong on disk is ErrDamaged, and missing from then on.
func (p *Partial) ReadAt(b []byte, off int64) (int, error) {
	if p.closed.Load() {
		return 0, ErrClosed
	}
	return readAt(b, off, p.f.size, p.f.walk)
}

func (f *fetch) walk(first, end uint64, to Sink) error {
	f.using.RLock()
	defer f.using.RUnlock()
	n := f.here(first, end)
	if n > 0 {
		err := f.s.verified(context.Background(), f.id, f.size, f.files, first, first+n, to)
		if err != nil {
			return f.damaged(err)
		}
	}
	if first+n < end {
		return fmt.Errorf("group %d of %s: %w", first+n, f.id, ErrMissing)
	}
	return nil
}

// damaged forgets the groups that err is about.
func (f *fetch) damaged(err error) error {
	d, ok := errors.AsType[*damage](err)
	switch {
	case !ok:
	case errors.Is(f.ended(), errDone):
		f.s.suspect(f.id, flawed, err)
	default:
		f.forget(d.span)
	}
	return err
}

// Complete makes the whole BLOB part of the Store, durably, and returns when it
// is; name is cleaned by CleanName. It is not hashed again: every group was
// verified when it came, and counted only once it was on disk. ErrMissing if
// groups are missing. Other handles go on reading; a second Complete returns the
// same. After another error all is as before, and it may be tried again.
func (p *Partial) Complete(name string) (Info, error) {
	if p.closed.Load() {
		return Info{}, fmt.Errorf("complete %s: %w", p.f.id, ErrClosed)
	}
	info, err := p.f.complete(CleanName(name))
	if err != nil {
		return Info{}, fmt.Errorf("complete %s: %w", p.f.id, err)
	}
	return info, nil
}

// Close keeps what is here for the next Store.Partial. With the last handle the
// fetch is saved and its files are closed. It is idempotent.
func (p *Partial) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	return p.f.release()
}

// Discard removes the fetch from the disk, for all its handles, and closes this
// one. A BLOB that it has become stays.
func (p *Partial) Discard() error {
	if p.closed.Swap(true) {
		return nil
	}
	return p.f.discard()
}
