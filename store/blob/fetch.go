package blob

import (
	"errors"
	"os"
	"slices"
	"sync"
)

// saveEvery is how many verified bytes may come in before their groups are made
// durable: what a power cut costs at most.
const saveEvery = 32 << 20

// fetch is a partial that is open: what all its handles share.
//
// The order on disk is its safety: a group's bytes and the nodes above it are
// synced before a state file that counts it gets its name. So what the state
// claims after a crash needs no second look.
type fetch struct {
	s    *Store
	id   ID
	size int64
	sink fetchSink
	// files are used under its lock for reading, exchanged under that for writing.
	using sync.RWMutex
	files files
	// One save at a time; held while the disk works.
	saving sync.Mutex

	refs int // handles; under the folder's lock, as is opening and ending

	mu      sync.Mutex // of what is below
	have    bitmap
	bytes   int64  // content of the groups in have
	count   uint64 // how many they are
	unsaved int64  // bytes that came since the last save
	over    error  // set once nothing more can come: errDone, ErrClosed
	info    Info   // with errDone
}

// errDone marks a fetch that has become a BLOB.
var errDone = errors.New("complete")

func (f *fetch) bytesHere() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bytes
}

// ended is nil as long as groups may come.
func (f *fetch) ended() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.over
}

func (f *fetch) end(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over == nil {
		f.over = why
	}
}

// fetchSink writes what is verified into the files of a partial.
type fetchSink struct{ f *fetch }

// Node is written whether it is known or not: it is small, and the same.
func (k fetchSink) Node(pos uint64, node *[64]byte) error {
	k.f.using.RLock()
	defer k.f.using.RUnlock()
	if err := k.f.ended(); err != nil {
		return gone(err)
	}
	return closedFile(k.f.s.disk.writeAt(k.f.files.tree, node[:], nodeOffset(pos)))
}

func (k fetchSink) Group(index uint64, data []byte) error {
	enough, err := k.f.take(index, data)
	if err == nil && enough {
		err = k.f.save()
	}
	return err
}

// take writes a group, and says when to save.
func (f *fetch) take(index uint64, data []byte) (enough bool, err error) {
	f.using.RLock()
	defer f.using.RUnlock()
	if err := f.ended(); err != nil {
		return false, gone(err)
	}
	if f.has(index, 1) {
		return false, nil
	}
	if err := f.s.disk.writeAt(f.files.data, data, int64(index)*GroupSize); err != nil {
		return false, closedFile(err)
	}
	return f.arrived(index, int64(len(data))), nil
}

// gone is what a late writer hears: nothing if all is there anyway.
func gone(over error) error {
	if errors.Is(over, errDone) {
		return nil
	}
	return over
}

func closedFile(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return ErrClosed
	}
	return err
}

// arrived counts a group that has been written, and says when to save.
func (f *fetch) arrived(index uint64, n int64) (enough bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.have.set(index) {
		return false
	}
	f.count++
	f.bytes += n
	f.unsaved += n
	return f.unsaved >= saveEvery
}

// forget takes back groups that turned out to be wrong on disk.
func (f *fetch) forget(s span) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := s.first; i < s.first+s.n; i++ {
		f.have.unset(i)
	}
	f.bytes, f.count = f.have.bytes(f.size)
}

func (f *fetch) has(first, n uint64) bool {
	groups := Groups(f.size)
	if n == 0 || first >= groups || n > groups-first {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.have.hasAll(first, first+n)
}

// here is how many groups of [first, end) follow on first without a gap.
func (f *fetch) here(first, end uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.have.next(first, end, false) - first
}

// missing is the first run of groups from that place on that is not here.
func (f *fetch) missing(from uint64) (first, n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	groups := Groups(f.size)
	first = f.have.next(from, groups, false)
	return first, f.have.next(first, groups, true) - first
}

// save makes what has come so far durable. A save that fails is tried again with
// the next group.
func (f *fetch) save() error {
	f.saving.Lock()
	defer f.saving.Unlock()
	f.mu.Lock()
	st := state{id: f.id, size: f.size, used: now(), have: slices.Clone(f.have)}
	unsaved := f.unsaved
	f.unsaved = 0
	over := f.over
	f.mu.Unlock()
	if over != nil {
		return gone(over)
	}
	err := f.write(st)
	if err != nil {
		f.mu.Lock()
		f.unsaved += unsaved
		f.mu.Unlock()
	}
	return closedFile(err)
}

func (f *fetch) write(st state) error {
	f.using.RLock()
	defer f.using.RUnlock()
	if err := f.s.disk.sync(f.files.data); err != nil {
		return err
	}
	if err := f.s.disk.sync(f.files.tree); err != nil {
		return err
	}
	return f.s.replace(f.s.partial(f.id, stateSuffix), appendState(nil, st))
}

// replace writes a small file so that it is the old or the new one at any time.
func (s *Store) replace(path string, content []byte) error {
	tmp, err := s.disk.temp(s.tmp(), "state-*")
	if err != nil {
		return err
	}
	err = s.disk.writeAt(tmp, content, 0)
	if err == nil {
		err = s.disk.sync(tmp)
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = s.move(tmp.Name(), path)
	}
	if err != nil {
		_ = s.disk.remove(tmp.Name())
	}
	return err
}
