package discovery

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeMesh holds leases as the nearest nodes would: by provider, the highest
// sequence wins, a withdrawal is remembered for as long as what it withdraws.
type fakeMesh struct {
	mu   sync.Mutex
	held map[dht.Key]map[identity.ID]heldLease
}

type heldLease struct {
	dht.Lease
	until time.Time
}

func newFakeMesh() *fakeMesh {
	return &fakeMesh{held: make(map[dht.Key]map[identity.ID]heldLease)}
}

// fakeDHT is one node's way to a fakeMesh.
type fakeDHT struct {
	mesh *fakeMesh
	// skew is how far the node's clock is off.
	skew time.Duration

	mu sync.Mutex
	// latency of each call.
	latency time.Duration
	// fault fails every call; hang makes it wait for its context instead.
	fault error
	hang  bool
	// deaf places what it is given, and then waits for its context.
	deaf bool
	// alone reaches nobody.
	alone bool
	puts  []put
	// running calls of PutLease, and the most there ever were.
	running, most int
}

// put is one that was tried.
type put struct {
	at    time.Time
	lease dht.Lease
}

func (m *fakeMesh) node() *fakeDHT { return &fakeDHT{mesh: m} }

func (d *fakeDHT) set(change func(*fakeDHT)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *fakeDHT) tried() []put {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.puts)
}

func (d *fakeDHT) isDeaf() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.deaf
}

func (d *fakeDHT) isAlone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.alone
}

// travel is the network's part of a call.
func (d *fakeDHT) travel(ctx context.Context) error {
	d.mu.Lock()
	latency, fault, hang := d.latency, d.fault, d.hang
	d.mu.Unlock()
	if hang {
		<-ctx.Done()
	}
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-ctx.Done():
		}
	}
	return errors.Join(ctx.Err(), fault)
}

func (d *fakeDHT) PutLease(ctx context.Context, l dht.Lease) (int, error) {
	if err := dht.VerifyLease(l); err != nil {
		return 0, err
	}
	d.set(func(d *fakeDHT) {
		d.puts = append(d.puts, put{time.Now(), l})
		d.running++
		d.most = max(d.most, d.running)
	})
	defer d.set(func(d *fakeDHT) { d.running-- })
	if err := d.travel(ctx); err != nil {
		return 0, err
	}
	if d.isAlone() {
		return 0, nil
	}
	acks, err := d.hold(l)
	if d.isDeaf() {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return acks, err
}

func (d *fakeDHT) hold(l dht.Lease) (int, error) {
	d.mesh.mu.Lock()
	defer d.mesh.mu.Unlock()
	under := d.mesh.held[l.Key]
	if under == nil {
		under = make(map[identity.ID]heldLease)
		d.mesh.held[l.Key] = under
	}
	old, known := under[l.Provider]
	if known && time.Now().Before(old.until) && old.Seq >= l.Seq {
		return 0, nil // refused everywhere
	}
	until := l.Expires.Add(-d.skew)
	if l.Withdrawn() {
		until = time.Now().Add(dht.LeaseLife)
		if known && old.until.After(until) {
			until = old.until
		}
	}
	under[l.Provider] = heldLease{l, until}
	return 8, nil
}

func (d *fakeDHT) FindLeases(ctx context.Context, key dht.Key) ([]dht.FoundLease, error) {
	if err := d.travel(ctx); err != nil {
		return nil, err
	}
	d.mesh.mu.Lock()
	defer d.mesh.mu.Unlock()
	var found []dht.FoundLease
	for _, l := range d.mesh.held[key] {
		if !l.Withdrawn() && time.Now().Before(l.until) {
			found = append(found, dht.FoundLease{Lease: l.Lease, Addr: hint})
		}
	}
	// Worse than promised: Find has to sort by itself.
	slices.SortFunc(found, func(a, b dht.FoundLease) int { return b.Provider.Compare(a.Provider) })
	return found, nil
}

var hint = netip.MustParseAddrPort("192.0.2.1:9376")

// newIdentity makes the same identity for the same number.
func newIdentity(t testing.TB, number byte, label string) *identity.Local {
	t.Helper()
	id, err := identity.FromSeed([32]byte{number}, label, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// newRegistry starts one that the test closes at the latest when it ends.
func newRegistry(t *testing.T, number byte, d dht.Leases, change ...func(*Config)) *Registry {
	t.Helper()
	cfg := Config{DHT: d, Identity: newIdentity(t, number, "node"+string('a'+rune(number))), Consortium: "acme"}
	for _, c := range change {
		c(&cfg)
	}
	r := New(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = r.Close(ctx)
	})
	return r
}

// kill ends a Registry as a crash would: without withdrawing.
func kill(r *Registry) {
	r.mu.Lock()
	clear(r.offers)
	clear(r.dirty)
	r.mu.Unlock()
	_ = r.Close(context.Background())
}

func mustRegister(t *testing.T, r *Registry, e Entry) {
	t.Helper()
	if err := r.Register(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func mustFind(t *testing.T, r *Registry, name string) []Provider {
	t.Helper()
	providers, err := r.Find(t.Context(), "acme", name)
	if err != nil {
		t.Fatal(err)
	}
	return providers
}
