package mcc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht/discovery"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/store/blob"
	"github.com/staex-mcc/mcc/store/swarm"
)

// BlobFolder is the name of the BLOB store in Options.DataFolder.
const BlobFolder = "blobs"

// maxBlobName bounds the name of a BLOB in bytes.
const maxBlobName = 255

// blobShelf is the BLOB part of a node: what it has, what it fetches, and who
// else has what.
type blobShelf struct {
	store *blob.Store
	swarm *swarm.Swarm
	seeds *discovery.Seeds
	// temporary is a folder to be removed with the node, of one that keeps
	// nothing.
	temporary string
	// serving has a seat for each stream being served.
	serving *seats
}

// openBlobs opens the store and the way to other seeders.
func (n *Node) openBlobs(opts Options) error {
	shelf := &blobShelf{serving: newSeats(maxBlobStreams, maxPeerBlobStreams)}
	folder := filepath.Join(opts.DataFolder, BlobFolder)
	if opts.DataFolder == "" {
		var err error
		if folder, err = os.MkdirTemp("", "mcc-blobs-"); err != nil {
			return fmt.Errorf("blobs: %w", err)
		}
		shelf.temporary = folder
	}
	s, err := blob.Open(folder, blob.Options{Logger: n.log.Named("blob")})
	if err != nil {
		return errors.Join(fmt.Errorf("blobs: %w", err), shelf.close())
	}
	shelf.store = s
	shelf.seeds = discovery.NewSeeds(discovery.SeedsConfig{
		DHT: n.parts.dht, Identity: n.self, Store: n.parts.store, Logger: n.log.Named("discovery"),
	})
	shelf.swarm = swarm.New(swarm.Config{
		Store: s, Network: blobNet{n}, Self: n.ID(), Forget: opts.ForgetBlobs, Kept: n.blobKept,
		Logger: n.log.Named("swarm"),
	})
	n.blobs = shelf
	return nil
}

func (b *blobShelf) close() error {
	var errs []error
	if b.swarm != nil {
		errs = append(errs, b.swarm.Close())
	}
	if b.store != nil {
		errs = append(errs, b.store.Close())
	}
	if b.temporary != "" {
		errs = append(errs, os.RemoveAll(b.temporary))
	}
	return errors.Join(errs...)
}

// announceBlobs tells the mesh what the node has from an earlier run. The newest
// come last, since the last ones named are announced first.
func (n *Node) announceBlobs() {
	if !n.waitJoined() {
		return
	}
	have := slices.SortedFunc(slices.Values(n.blobs.store.List()), func(a, b blob.Info) int { return a.Added.Compare(b.Added) })
	for _, info := range have {
		n.blobs.seeds.Announce(info.ID)
	}
}

// blobKept is told by the swarm that a fetched BLOB is whole.
func (n *Node) blobKept(info blob.Info) {
	n.blobs.seeds.Announce(info.ID)
	n.events.emit(Event{Kind: EventBlobAdded, Subject: info.ID.String()})
}

// PutBlob implements Blobs.
func (n *Node) PutBlob(ctx context.Context, r io.Reader, o BlobOptions) (BlobInfo, error) {
	if err := n.alive(); err != nil {
		return BlobInfo{}, err
	}
	if len(o.Name) > maxBlobName || !printable(o.Name) {
		return BlobInfo{}, fmt.Errorf("%w: a BLOB's name has at most %d bytes of UTF-8 without control characters", ErrInvalid, maxBlobName)
	}
	info, err := n.blobs.store.Put(ctx, r, o.Name)
	if err != nil {
		return BlobInfo{}, publicError(err)
	}
	n.tellOfBlob(ctx, info)
	return localBlob(info), nil
}

// tellWait bounds how long a put waits for the mesh to hear of the BLOB.
const tellWait = 2 * time.Second

// tellOfBlob announces a BLOB that was put, so that whoever is told its id next
// finds it. What fails goes on in the background.
func (n *Node) tellOfBlob(ctx context.Context, info blob.Info) {
	n.events.emit(Event{Kind: EventBlobAdded, Subject: info.ID.String()})
	ctx, cancel := context.WithTimeout(ctx, tellWait)
	defer cancel()
	if err := n.blobs.seeds.AnnounceNow(ctx, info.ID); err != nil {
		n.log.Debug("seeder's lease not placed yet", zap.Stringer("blob", info.ID), zapErr(err))
	}
}

func localBlob(info blob.Info) BlobInfo {
	return BlobInfo{ID: Hash(info.ID), Size: info.Size, Name: info.Name, Local: true, Added: info.Added}
}

// OpenBlob implements Blobs.
func (n *Node) OpenBlob(ctx context.Context, id Hash) (Blob, error) {
	if err := n.mayFetch(ctx, id); err != nil {
		return nil, err
	}
	r, err := n.blobs.swarm.Open(ctx, blob.ID(id))
	if err != nil {
		return nil, publicError(err)
	}
	return openBlob{r}, nil
}

// mayFetch readies the node to fetch a BLOB that is not here, or says why its
// seeders would refuse.
func (n *Node) mayFetch(ctx context.Context, id Hash) error {
	if err := n.alive(); err != nil {
		return err
	}
	if _, err := n.blobs.store.Stat(blob.ID(id)); err == nil {
		return nil
	}
	if !n.selfPeer().May("blob") {
		return fmt.Errorf("%w: this node's certificate lacks blob", ErrDenied)
	}
	n.awaitJoin(ctx)
	return nil
}

// openBlob is a reader with the errors of this package.
type openBlob struct{ *swarm.Reader }

func (b openBlob) Info() BlobInfo { return swarmInfo(b.Reader.Info()) }

func (b openBlob) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	return n, publicReadError(err)
}

func (b openBlob) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.Reader.ReadAt(p, off)
	return n, publicReadError(err)
}

// publicReadError keeps io.EOF as it is, which readers compare.
func publicReadError(err error) error {
	if err == io.EOF {
		return err
	}
	return publicError(err)
}

func swarmInfo(info swarm.Info) BlobInfo {
	return BlobInfo{ID: Hash(info.ID), Size: info.Size, Name: info.Name, Local: info.Local, Added: info.Added}
}

// StatBlob implements Blobs.
func (n *Node) StatBlob(ctx context.Context, id Hash) (BlobInfo, error) {
	if err := n.mayFetch(ctx, id); err != nil {
		return BlobInfo{}, err
	}
	info, err := n.blobs.swarm.Stat(ctx, blob.ID(id))
	return swarmInfo(info), publicError(err)
}

// DeleteBlob implements Blobs.
func (n *Node) DeleteBlob(ctx context.Context, id Hash) error {
	if err := n.alive(); err != nil {
		return err
	}
	if err := n.blobs.store.Delete(blob.ID(id)); err != nil {
		return publicError(err)
	}
	n.events.emit(Event{Kind: EventBlobRemoved, Subject: id.String()})
	if err := n.blobs.seeds.Withdraw(ctx, id); err != nil {
		n.log.Debug("seeder's lease left to lapse", zap.Stringer("blob", id), zapErr(err))
	}
	return nil
}

// ListBlobs implements Blobs.
func (n *Node) ListBlobs(ctx context.Context) iter.Seq2[BlobInfo, error] {
	return func(yield func(BlobInfo, error) bool) {
		if err := n.alive(); err != nil {
			yield(BlobInfo{}, err)
			return
		}
		for _, info := range n.blobs.store.List() {
			if err := ctx.Err(); err != nil {
				yield(BlobInfo{}, err)
				return
			}
			if !yield(localBlob(info), nil) {
				return
			}
		}
	}
}

// Seeders implements Blobs.
func (n *Node) Seeders(ctx context.Context, id Hash) ([]Seeder, error) {
	if err := n.alive(); err != nil {
		return nil, err
	}
	n.awaitJoin(ctx)
	found, err := n.blobs.seeds.Find(ctx, id)
	if err != nil {
		return nil, publicError(err)
	}
	labels := map[identity.ID]string{n.ID(): n.Label()}
	for _, p := range n.Peers() {
		labels[p.ID] = p.Label
	}
	seeders := make([]Seeder, 0, len(found)+1)
	for _, s := range found {
		seeders = append(seeders, Seeder{Node: s.Node, Label: labels[s.Node]})
	}
	return seeders, nil
}
