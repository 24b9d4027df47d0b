package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"lukechampine.com/blake3"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
)

// fakeData is the records, values, BLOBs and DIDs of a node that is alone.
type fakeData struct {
	self identity.ID

	dataMu  sync.Mutex
	failing error // what the next operations fail with
	records map[string]mcc.Record
	options []mcc.RecordOptions
	values  map[mcc.Hash][]byte
	blobs   map[mcc.Hash]fakeBlob
	seeders []mcc.Seeder
	dids    map[string]mcc.DIDDocument
	// stuck has OpenBlob wait for the end of its context.
	stuck bool
	// opened gets each BLOB that is opened, if it is not nil.
	opened chan *openBlob
	asked  int // how many BLOBs were asked for their size
	// happening is what Events yields; closing it ends them.
	happening chan mcc.Event
	following chan struct{} // gets one for each reader of Events
}

// fakeBlob is a content of size bytes from at.
type fakeBlob struct {
	info    mcc.BlobInfo
	content io.ReaderAt
}

var fakeExpires = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

func newFakeData(self identity.ID) fakeData {
	return fakeData{
		self: self, records: map[string]mcc.Record{}, values: map[mcc.Hash][]byte{}, blobs: map[mcc.Hash]fakeBlob{},
		dids: map[string]mcc.DIDDocument{}, happening: make(chan mcc.Event), following: make(chan struct{}, 2*maxWatchers),
	}
}

func (f *fakeData) PutRecord(_ context.Context, name string, value []byte, o mcc.RecordOptions) (mcc.Record, error) {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	f.options = append(f.options, o)
	if err := cmpErr(f.failing, mcc.CheckRecordName(name)); err != nil {
		return mcc.Record{}, err
	}
	if o.TTL > 48*time.Hour {
		return mcc.Record{}, fmt.Errorf("%w: a record lives 48 h", mcc.ErrInvalid)
	}
	now := f.records[name]
	if o.IfSeq != nil && *o.IfSeq != now.Seq {
		return mcc.Record{}, fmt.Errorf("record %q: %w: it has sequence %d", name, mcc.ErrConflict, now.Seq)
	}
	r := mcc.Record{Owner: f.self, Name: name, Seq: now.Seq + 1, Expires: fakeExpires, Value: value, Sig: []byte{0xff, 0xee, 1}}
	f.records[name] = r
	return r, nil
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeData) GetRecord(_ context.Context, owner, name string) (mcc.Record, error) {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	if f.failing != nil {
		return mcc.Record{}, f.failing
	}
	r, ok := f.records[name]
	if !ok || owner != f.self.String() && owner != f.self.DID() && owner != "gate" {
		return mcc.Record{}, fmt.Errorf("record %q of %q: %w", name, owner, mcc.ErrNotFound)
	}
	return r, nil
}

func (f *fakeData) DropRecord(_ context.Context, name string) error {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	if _, ok := f.records[name]; !ok {
		return fmt.Errorf("record %q: %w", name, mcc.ErrNotFound)
	}
	delete(f.records, name)
	return f.failing
}

func (f *fakeData) PutValue(_ context.Context, value []byte) (mcc.Hash, error) {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	id := mcc.Hash(blake3.Sum256(value))
	f.values[id] = value
	return id, f.failing
}

func (f *fakeData) GetValue(_ context.Context, id mcc.Hash) ([]byte, error) {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	value, ok := f.values[id]
	if !ok {
		return nil, fmt.Errorf("value %s: %w", id, mcc.ErrNotFound)
	}
	return value, f.failing
}

func (f *fakeData) DropValue(_ context.Context, id mcc.Hash) error {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	if _, ok := f.values[id]; !ok {
		return fmt.Errorf("value %s: %w", id, mcc.ErrNotFound)
	}
	delete(f.values, id)
	return f.failing
}

func (f *fakeData) PutBlob(ctx context.Context, r io.Reader, o mcc.BlobOptions) (mcc.BlobInfo, error) {
	f.dataMu.Lock()
	failing := f.failing
	f.dataMu.Unlock()
	if failing != nil {
		return mcc.BlobInfo{}, failing
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return mcc.BlobInfo{}, fmt.Errorf("put: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return mcc.BlobInfo{}, err
	}
	if len(o.Name) > 255 {
		return mcc.BlobInfo{}, fmt.Errorf("%w: name", mcc.ErrInvalid)
	}
	return f.addBlob(o.Name, mcc.Hash(blake3.Sum256(content)), int64(len(content)), bytes.NewReader(content)), nil
}

func (f *fakeData) addBlob(name string, id mcc.Hash, size int64, content io.ReaderAt) mcc.BlobInfo {
	info := mcc.BlobInfo{ID: id, Size: size, Name: name, Local: true, Added: fakeExpires}
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	f.blobs[id] = fakeBlob{info, content}
	return info
}

// openBlob counts what is read of it.
type openBlob struct {
	io.ReadSeeker
	io.ReaderAt
	info   mcc.BlobInfo
	mu     sync.Mutex
	read   int64
	closed chan struct{}
}

func (b *openBlob) Read(p []byte) (int, error) {
	n, err := b.ReadSeeker.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read += int64(n)
	return n, err
}

func (b *openBlob) Info() mcc.BlobInfo { return b.info }
func (b *openBlob) Close() error       { close(b.closed); return nil }

func (b *openBlob) total() int64 { b.mu.Lock(); defer b.mu.Unlock(); return b.read }

func (f *fakeData) OpenBlob(ctx context.Context, id mcc.Hash) (mcc.Blob, error) {
	info, err := f.StatBlob(ctx, id)
	if err != nil {
		return nil, err
	}
	if f.stuck {
		<-ctx.Done()
		return nil, fmt.Errorf("BLOB %s: %w", id, ctx.Err())
	}
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	f.asked--
	section := io.NewSectionReader(f.blobs[id].content, 0, info.Size)
	b := &openBlob{ReadSeeker: section, ReaderAt: section, info: info, closed: make(chan struct{})}
	if f.opened != nil {
		f.opened <- b
	}
	return b, nil
}

func (f *fakeData) StatBlob(_ context.Context, id mcc.Hash) (mcc.BlobInfo, error) {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	f.asked++
	b, ok := f.blobs[id]
	if !ok {
		return mcc.BlobInfo{}, fmt.Errorf("BLOB %s: %w", id, mcc.ErrNotFound)
	}
	return b.info, f.failing
}

func (f *fakeData) DeleteBlob(_ context.Context, id mcc.Hash) error {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	if _, ok := f.blobs[id]; !ok {
		return fmt.Errorf("BLOB %s: %w", id, mcc.ErrNotFound)
	}
	delete(f.blobs, id)
	return nil
}

func (f *fakeData) ListBlobs(context.Context) iter.Seq2[mcc.BlobInfo, error] {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	var all []mcc.BlobInfo
	for _, b := range f.blobs {
		all = append(all, b.info)
	}
	slices.SortFunc(all, func(a, b mcc.BlobInfo) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	failing := f.failing
	return func(yield func(mcc.BlobInfo, error) bool) {
		for _, info := range all {
			if !yield(info, nil) {
				return
			}
		}
		if failing != nil {
			yield(mcc.BlobInfo{}, failing)
		}
	}
}

func (f *fakeData) Seeders(context.Context, mcc.Hash) ([]mcc.Seeder, error) {
	return f.seeders, f.failing
}

func (f *fakeData) PutDID(_ context.Context, did string, document []byte) (mcc.DIDDocument, error) {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	now := f.dids[did]
	switch {
	case f.failing != nil:
		return mcc.DIDDocument{}, f.failing
	case did != "did:mcc:"+f.self.String():
		return mcc.DIDDocument{}, fmt.Errorf("%w: only its controller may", mcc.ErrDenied)
	case !json.Valid(document):
		return mcc.DIDDocument{}, fmt.Errorf("did document: %w", mcc.ErrInvalid)
	case now.Deactivated:
		return mcc.DIDDocument{}, mcc.ErrDeactivated
	}
	now = mcc.DIDDocument{DID: did, Document: document, Version: now.Version + 1}
	f.dids[did] = now
	return now, nil
}

func (f *fakeData) ResolveDID(_ context.Context, did string) (mcc.DIDDocument, error) {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	d, ok := f.dids[did]
	switch {
	case f.failing != nil:
		return mcc.DIDDocument{}, f.failing
	case !strings.HasPrefix(did, "did:"):
		return mcc.DIDDocument{}, fmt.Errorf("%w: DID", mcc.ErrInvalid)
	case strings.HasPrefix(did, "did:web:"):
		return mcc.DIDDocument{}, fmt.Errorf("did:web: %w", mcc.ErrUnsupported)
	case !ok:
		return mcc.DIDDocument{}, fmt.Errorf("%s: %w", did, mcc.ErrNotFound)
	case d.Deactivated:
		return d, fmt.Errorf("%s: %w", did, mcc.ErrDeactivated)
	}
	return d, nil
}

func (f *fakeData) DeactivateDID(_ context.Context, did string) error {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	d, ok := f.dids[did]
	if !ok {
		return fmt.Errorf("%w: only its controller may", mcc.ErrDenied)
	}
	d.Document, d.Deactivated, d.Version = nil, true, d.Version+1
	f.dids[did] = d
	return f.failing
}

func (f *fakeData) Events(ctx context.Context) iter.Seq[mcc.Event] {
	return func(yield func(mcc.Event) bool) {
		f.following <- struct{}{}
		for {
			select {
			case <-ctx.Done():
				return
			case e, ok := <-f.happening:
				if !ok || !yield(e) {
					return
				}
			}
		}
	}
}

func (f *fakeData) fail(err error) { f.dataMu.Lock(); defer f.dataMu.Unlock(); f.failing = err }
