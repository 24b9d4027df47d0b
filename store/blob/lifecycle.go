package blob

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"
)

// Partial opens a fetch of the BLOB id of that size in bytes, or resumes the one
// an earlier run left. The caller closes the handle.
//
// ErrExists: the whole BLOB is here, or it is being fetched with another size.
// ErrMismatch: an earlier fetch has proven another size. One whose size was never
// proven is thrown away if the sizes differ. ErrTooLarge: over MaxSize.
func (s *Store) Partial(id ID, size int64) (*Partial, error) {
	f, err := s.partialOf(id, size)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", id, err)
	}
	return &Partial{f: f}, nil
}

func (s *Store) partialOf(id ID, size int64) (*fetch, error) {
	if err := checkSize(size); err != nil {
		return nil, err
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	s.folder(id).Lock()
	defer s.folder(id).Unlock()
	if s.isClosed() {
		return nil, ErrClosed
	}
	if _, ok := s.holds(id); ok {
		return nil, ErrExists
	}
	if f := s.underWay(id); f != nil {
		return f.join(size)
	}
	return s.resume(id, size)
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Store) underWay(id ID) *fetch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetching[id]
}

// join adds a handle.
func (f *fetch) join(size int64) (*fetch, error) {
	if f.size != size {
		if f.has(Groups(f.size)-1, 1) {
			return nil, fmt.Errorf("size is %d, not %d: %w", f.size, size, ErrMismatch)
		}
		return nil, fmt.Errorf("fetched as one of size %d: %w", f.size, ErrExists)
	}
	f.refs++
	return f, nil
}

// resume opens the files of a partial, and makes them if there are none.
func (s *Store) resume(id ID, size int64) (*fetch, error) {
	st, err := s.readState(id)
	if err == nil && st.size != size {
		if st.have.has(Groups(st.size) - 1) {
			return nil, fmt.Errorf("size is %d, not %d: %w", st.size, size, ErrMismatch)
		}
		err = errState
	}
	if err != nil && !lost(err) {
		return nil, err
	}
	if err != nil {
		if err := s.removePartial(id); err != nil {
			return nil, err
		}
		st = state{id: id, size: size, have: newBitmap(Groups(size))}
	}
	f := &fetch{s: s, id: id, size: size, refs: 1, have: st.have}
	f.sink = fetchSink{f}
	f.bytes, f.count = st.have.bytes(size)
	if err := f.reopen(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.resting, id)
	s.fetching[id] = f
	return f, nil
}

// complete turns the partial into a BLOB.
func (f *fetch) complete(name string) (Info, error) {
	if f.ended() == nil {
		// A Put may have been faster, and its files have gone bad since.
		if err := f.s.recheck(context.Background(), f.id); err != nil {
			return Info{}, err
		}
	}
	f.s.gate.RLock()
	defer f.s.gate.RUnlock()
	f.s.folder(f.id).Lock()
	defer f.s.folder(f.id).Unlock()
	f.mu.Lock()
	over, info, missing := f.over, f.info, Groups(f.size)-f.count
	f.mu.Unlock()
	switch {
	case errors.Is(over, errDone):
		return info, nil
	case over != nil:
		return Info{}, over
	case missing > 0:
		return Info{}, fmt.Errorf("%d groups: %w", missing, ErrMissing)
	}
	info = Info{ID: f.id, Size: f.size, Name: f.s.nameOf(f.id, name), Added: now()}
	return f.turn(info)
}

// turn commits the files.
func (f *fetch) turn(info Info) (Info, error) {
	f.saving.Lock() // a save must not write a state after the files are gone
	defer f.saving.Unlock()
	f.using.Lock()
	defer f.using.Unlock()
	if err := f.seal(info); err != nil {
		return Info{}, err
	}
	info, err := f.move(info)
	if err != nil {
		return Info{}, err
	}
	f.mu.Lock()
	f.over, f.info = errDone, info
	f.mu.Unlock()
	f.leave()
	// What is left without its content, Open sweeps.
	_ = f.s.removePartial(f.id)
	return info, nil
}

// move gives the files their name. They are closed meanwhile, as Windows wants
// it, and opened again wherever they are then.
func (f *fetch) move(info Info) (Info, error) {
	if err := f.files.close(); err != nil {
		return Info{}, errors.Join(err, f.comeBack())
	}
	info, err := f.s.commitLocked(info, f.s.partial(f.id, dataSuffix), f.s.partial(f.id, treeSuffix))
	if err != nil {
		return Info{}, errors.Join(err, f.comeBack())
	}
	opened, err := openPair(f.s.path(f.id, blobSuffix), f.s.path(f.id, treeSuffix), os.Open)
	if err != nil {
		// The BLOB is there all the same; only the handles read ErrClosed.
		f.s.log.Warn("reopen completed blob", zap.Stringer("blob", f.id), zap.Error(err))
		return info, nil
	}
	f.files = opened
	return info, nil
}

// comeBack undoes the closing. A fetch that cannot be opened again is over, until
// the next Store.Partial.
func (f *fetch) comeBack() error {
	err := f.reopen()
	if err != nil {
		f.end(ErrClosed)
		f.rest()
	}
	return err
}

// reopen opens the files of the partial, and makes them if they are missing.
func (f *fetch) reopen() error {
	opened, err := openPair(f.s.partial(f.id, dataSuffix), f.s.partial(f.id, treeSuffix), f.s.disk.open)
	if err != nil {
		return err
	}
	f.files = opened
	return nil
}

// seal makes the files those of a whole BLOB, on disk.
func (f *fetch) seal(info Info) error {
	disk := f.s.disk
	steps := []func() error{
		func() error { return disk.writeAt(f.files.tree, appendHeader(nil, info), 0) },
		func() error { return disk.truncate(f.files.tree, treeSize(f.size)) },
		func() error { return disk.truncate(f.files.data, f.size) },
		func() error { return disk.sync(f.files.tree) },
		func() error { return disk.sync(f.files.data) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return closedFile(err)
		}
	}
	return nil
}

// leave takes the fetch out of the list of open ones.
func (f *fetch) leave() {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.s.fetching[f.id] == f {
		delete(f.s.fetching, f.id)
	}
}

// release is the end of one handle.
func (f *fetch) release() error {
	f.s.gate.RLock()
	defer f.s.gate.RUnlock()
	f.s.folder(f.id).Lock()
	defer f.s.folder(f.id).Unlock()
	if f.refs--; f.refs > 0 {
		return nil
	}
	return f.shut()
}

// shut saves the fetch and closes its files. The caller holds the folder's lock,
// or the gate for writing.
func (f *fetch) shut() error {
	var err error
	if f.ended() == nil {
		err = f.save()
		f.end(ErrClosed)
		f.rest()
	}
	if closeErr := f.files.close(); !errors.Is(closeErr, os.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	return err
}

// rest moves the fetch to the partials that nobody has open.
func (f *fetch) rest() {
	info := PartialInfo{ID: f.id, Size: f.size, Have: f.bytesHere(), Used: now()}
	f.leave()
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.resting[f.id] = info
}

func (f *fetch) discard() error {
	f.s.gate.RLock()
	defer f.s.gate.RUnlock()
	f.s.folder(f.id).Lock()
	defer f.s.folder(f.id).Unlock()
	if over := f.ended(); over != nil {
		if f.refs--; f.refs > 0 {
			return nil
		}
		return f.shut()
	}
	f.end(ErrClosed)
	f.saving.Lock()
	defer f.saving.Unlock()
	f.leave()
	err := f.files.close()
	return errors.Join(err, f.s.removePartial(f.id))
}
