package mcc

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/dht/discovery"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/store"
	"github.com/staex-mcc/mcc/store/blob"
	"github.com/staex-mcc/mcc/store/bolt"
	"github.com/staex-mcc/mcc/store/memory"
	"github.com/staex-mcc/mcc/transport"
	"github.com/staex-mcc/mcc/transport/udp"
)

// DatabaseFile is the name of the store in Options.DataFolder.
const DatabaseFile = "mcc.db"

// parts are the exchangeable pieces of a node, in the order they are closed.
type parts struct {
	dht        dht.DHT
	transport  transport.Transport
	store      store.Store
	ownStore   bool
	consortium string
}

func (p *parts) close() error {
	var errs []error
	if p.dht != nil {
		errs = append(errs, p.dht.Close())
	}
	if p.transport != nil {
		errs = append(errs, p.transport.Close())
	}
	if p.store != nil && p.ownStore {
		errs = append(errs, p.store.Close())
	}
	return errors.Join(errs...)
}

// compose builds the parts from the options; on failure it closes those it
// built.
func (n *Node) compose(opts Options) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(startError(err), n.closeParts())
		}
	}()
	if n.trust, err = identity.NewTrust(opts.TrustCAs); err != nil {
		return fmt.Errorf("trusted CAs: %w: %w", ErrInvalid, err)
	}
	if err = n.openStore(opts); err != nil {
		return err
	}
	if err = n.openIdentity(opts); err != nil {
		return err
	}
	if err = n.openTransport(opts); err != nil {
		return err
	}
	if err = n.openDHT(opts); err != nil {
		return err
	}
	if err = n.openBlobs(opts); err != nil {
		return err
	}
	// Last, since it starts goroutines that Drain ends.
	n.registry = discovery.New(discovery.Config{
		DHT: n.parts.dht, Identity: n.self, Consortium: n.parts.consortium, Store: n.parts.store,
		Logger: n.log.Named("discovery"),
	})
	return nil
}

// closeParts closes what compose has built so far.
func (n *Node) closeParts() error {
	var err error
	if n.blobs != nil {
		err = n.blobs.close()
	}
	return errors.Join(err, n.parts.close())
}

// openStore comes first: its lock is what keeps two nodes out of one folder.
func (n *Node) openStore(opts Options) error {
	switch {
	case opts.Store != nil:
		n.parts.store = opts.Store
	case opts.DataFolder == "":
		n.parts.store, n.parts.ownStore = memory.New(), true
	default:
		s, err := bolt.Open(filepath.Join(opts.DataFolder, DatabaseFile), bolt.Options{})
		if err != nil {
			return fmt.Errorf("data folder %s: %w", opts.DataFolder, err)
		}
		n.parts.store, n.parts.ownStore = s, true
	}
	return nil
}

// openIdentity takes, loads or makes the identity, and refuses one that the
// mesh would refuse.
func (n *Node) openIdentity(opts Options) error {
	now := time.Now()
	switch {
	case opts.Identity != nil:
		n.self = opts.Identity
	case len(opts.TrustCAs) > 0:
		return fmt.Errorf("%w: a node that trusts a CA needs an identity that the CA certified", ErrInvalid)
	case opts.DataFolder != "":
		kept, created, err := identity.LoadOrCreate(opts.DataFolder, opts.Label, now)
		if err != nil {
			return fmt.Errorf("identity: %w: %w", ErrInvalid, err)
		}
		if !created && opts.Label != "" {
			n.log.Warn("the label is ignored: the identity in the data folder has one",
				zap.String("label", kept.Certificate().Label()))
		}
		n.self = kept
	default:
		fresh, err := identity.NewRandom(opts.Label, now)
		if err != nil {
			return fmt.Errorf("identity: %w: %w", ErrInvalid, err)
		}
		n.self = fresh
	}
	cert := n.self.Certificate()
	if now.After(cert.NotAfter()) {
		return fmt.Errorf("own certificate: %w: %w: it ended %s", ErrInvalid, identity.ErrExpired,
			cert.NotAfter().UTC().Format(time.RFC3339))
	}
	peer, err := n.trust.Verify(cert, now)
	if err != nil {
		return fmt.Errorf("own certificate: %w: %w", ErrInvalid, err)
	}
	if len(peer.Permissions) == 0 {
		n.log.Warn("this node's certificate permits nothing: no mcc:perm name is in it")
	}
	n.parts.consortium = peer.Consortium
	return nil
}

func (n *Node) openTransport(opts Options) error {
	factory := opts.Transport
	if factory == nil {
		factory = udp.Listen(udp.Options{Listen: opts.Listen})
	}
	t, err := factory(transport.Config{Identity: n.self, Trust: n.trust, Logger: n.log.Named("transport")})
	if err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	n.parts.transport = t
	if t.Local().ID != n.self.ID() {
		return fmt.Errorf("transport: %w: it runs under another identity than the node", ErrInvalid)
	}
	return nil
}

func (n *Node) openDHT(opts Options) error {
	factory := opts.DHT
	if factory == nil {
		factory = func(env dht.Env) (dht.DHT, error) { return dht.New(env) }
	}
	n.net.transport = n.parts.transport
	d, err := factory(dht.Env{
		Identity: n.self, Sender: n.net, Store: n.parts.store, Alpha: opts.Alpha, Logger: n.log,
	})
	if err != nil {
		return fmt.Errorf("dht: %w", err)
	}
	n.parts.dht = d
	return nil
}

// startError adds the sentinel of this package to what went wrong below.
func startError(err error) error {
	if errors.Is(err, store.ErrInUse) || errors.Is(err, blob.ErrInUse) || errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return err
}

// announceSelf keeps the node's label in the directory until the node closes.
func (n *Node) announceSelf() {
	if !n.waitJoined() {
		return
	}
	ctx, cancel := context.WithTimeout(n.life.ctx, announceWait)
	defer cancel()
	if err := n.registry.RegisterLabel(ctx); err != nil && n.alive() == nil {
		n.log.Warn("the node's label could not be announced", zapErr(err))
	}
}

// waitJoined waits for the first join; false is that the node closes.
func (n *Node) waitJoined() bool {
	select {
	case <-n.boot.joined:
		return true
	case <-n.life.ctx.Done():
		return false
	}
}

const announceWait = 30 * time.Second
