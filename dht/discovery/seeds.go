package discovery

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/store"
)

// Times and limits of the leases of seeders.
const (
	// SeedLife is how long a seeder's lease lives, SeedRenewEvery the time
	// between renewals: two may fail.
	SeedLife       = time.Hour
	SeedRenewEvery = SeedLife / 3
	// MaxSeeds is how many BLOBs one node announces.
	MaxSeeds = 65_536
)

// SeedsConfig is what Seeds work with.
type SeedsConfig struct {
	// DHT keeps the leases; required, not closed.
	DHT dht.Leases
	// Identity signs them; required.
	Identity identity.Identity
	// Store keeps the sequence of leases growing over restarts with a clock
	// that was set back, under the prefix "discovery/"; nil relies on the
	// clock. It is not closed.
	Store store.Store
	// Logger gets what goes wrong in the background; nil is silent.
	Logger *zap.Logger
}

// Seeds announces the BLOBs that this node holds and finds others who hold one.
// It is safe for concurrent use; Close it after use, before the DHT.
//
// Placing is slow and steady, however many BLOBs there are: one lease after the
// other with a pause between, at most four under way. The one announced last
// goes first, so a node that starts announces its oldest BLOB first. Renewals
// are spread evenly over SeedRenewEvery.
type Seeds struct {
	*placer
	*life

	// wake has one slot: there is something new to place.
	wake chan struct{}

	dropped, refused atomic.Uint64

	schedule schedule // guarded by mu
}

// Seeder is a node that holds a BLOB, as its lease says.
type Seeder struct {
	// Node is proven by the signature.
	Node identity.ID
	// Addr is where another node saw it: a hint, zero if nobody did.
	Addr netip.AddrPort
}

// SeedsStats are gauges, and counters since NewSeeds.
type SeedsStats struct {
	// Announced are the BLOBs announced now, Waiting those of them whose first
	// lease is still to be placed.
	Announced, Waiting int
	// Placed, Unacknowledged and Failed are those of Stats.
	Placed, Unacknowledged, Failed uint64
	// Dropped are leases of others that carry what no seeder's lease may carry.
	Dropped uint64
	// Refused are announcements beyond MaxSeeds.
	Refused uint64
}

// NewSeeds starts Seeds that announce nothing yet.
func NewSeeds(cfg SeedsConfig) *Seeds {
	s := &Seeds{
		placer:   newPlacer(cfg.DHT, cfg.Identity, cfg.Store, seedsSequenceKey, cfg.Logger),
		life:     newLife(),
		wake:     make(chan struct{}, 1),
		schedule: newSchedule(cfg.Identity.ID(), time.Now()),
	}
	s.work.Go(s.run)
	return s
}

// Announce says that this node holds a BLOB, until Withdraw or Close, and
// returns at once; the lease follows in the background, soon unless thousands
// are waiting. Once is enough; again is no harm. Beyond MaxSeeds an announcement
// is refused and counted; after Close it does nothing.
func (s *Seeds) Announce(id [32]byte) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	kept := s.schedule.announce(id)
	s.mu.Unlock()
	if !kept {
		s.refused.Add(1)
		return
	}
	s.signal()
}

// AnnounceNow is Announce that returns when the mesh has been told, or was told
// before; reaching nobody is no error. After an error the telling goes on in the
// background.
func (s *Seeds) AnnounceNow(ctx context.Context, id [32]byte) error {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	s.mu.Lock()
	e, todo := s.schedule.announceNow(id)
	s.mu.Unlock()
	switch {
	case e == nil:
		s.refused.Add(1)
		return fmt.Errorf("announce blob: %w: %d are announced or withdrawn", ErrFull, MaxSeeds)
	case !todo:
		return nil
	}
	if err := s.attempt(ctx, e); err != nil {
		return fmt.Errorf("announce blob: %w", s.reason(err))
	}
	return nil
}

// Withdraw ends the announcement of a BLOB and returns when that has been told
// to the mesh; reaching nobody is no error. Whatever the result, renewing ends
// at once, and until the last lease would have ended the telling goes on in the
// background where it failed, and where nodes are new. A BLOB that has not been
// announced may have been in an earlier life, so it is withdrawn as well.
func (s *Seeds) Withdraw(ctx context.Context, id [32]byte) error {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	s.mu.Lock()
	e := s.schedule.withdraw(id, time.Now())
	s.mu.Unlock()
	if e == nil {
		return fmt.Errorf("withdraw blob: %w: %d are announced or withdrawn", ErrFull, MaxSeeds)
	}
	if err := s.attempt(ctx, e); err != nil {
		return fmt.Errorf("withdraw blob: %w", s.reason(err))
	}
	return nil
}

// Find returns the nodes that say they hold a BLOB now, in the order of their
// ids; none is an empty slice. The order is no hint whom to ask: keys cost
// nothing, so somebody may have made up the lowest. This node is among them while it announces the
// BLOB, whether the mesh knows it already or not. It asks the network and blocks
// until that answers or ctx ends.
func (s *Seeds) Find(ctx context.Context, id [32]byte) ([]Seeder, error) {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	found, err := s.dht.FindLeases(ctx, BlobKey(id))
	if err != nil {
		return nil, fmt.Errorf("find seeders: %w", s.reason(err))
	}
	seeders, own, now := make([]Seeder, 0, len(found)+1), s.self.ID(), time.Now()
	if s.announces(id) {
		seeders = append(seeders, Seeder{Node: own})
	}
	for _, l := range found {
		switch {
		case l.Provider == own: // what this node itself says counts
		case len(l.Body) > 0:
			s.dropped.Add(1)
		case l.Expires.After(now):
			seeders = append(seeders, Seeder{l.Provider, l.Addr})
		}
	}
	slices.SortFunc(seeders, func(a, b Seeder) int { return a.Node.Compare(b.Node) })
	return seeders, nil
}

func (s *Seeds) announces(id [32]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.schedule.entries[id]
	return e != nil && e.announced
}

// Stats returns gauges and counters.
func (s *Seeds) Stats() SeedsStats {
	stats := SeedsStats{
		Placed:         s.placed.Load(),
		Unacknowledged: s.unacknowledged.Load(),
		Failed:         s.failed.Load(),
		Dropped:        s.dropped.Load(),
		Refused:        s.refused.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.schedule.entries {
		if e.announced {
			stats.Announced++
			if e.expires.IsZero() {
				stats.Waiting++
			}
		}
	}
	return stats
}

// Close ends running calls with ErrClosed, withdraws the leases of this life,
// what was announced or withdrawn last first, and waits. Leases that could not
// be withdrawn before ctx ended lapse by themselves, and the error says how
// many. It is idempotent: a later call waits for the first and returns its
// error.
func (s *Seeds) Close(ctx context.Context) error {
	return s.end(func() error { return s.withdrawAll(ctx) })
}
