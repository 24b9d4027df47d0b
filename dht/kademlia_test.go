package dht_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/dht/dhttest"
	"github.com/staex-mcc/mcc/store"
	"github.com/staex-mcc/mcc/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newDHT(env dht.Env) (dht.DHT, error) { return dht.New(env) }

func TestConformance(t *testing.T) { dhttest.Run(t, newDHT) }

func TestNewRejects(t *testing.T) {
	n := dhttest.NewMesh(t, newDHT, 0).Start()
	good := dht.Env{Identity: n.Identity, Sender: n, Store: n.Store}
	for what, spoil := range map[string]func(*dht.Env){
		"no identity": func(e *dht.Env) { e.Identity = nil },
		"no sender":   func(e *dht.Env) { e.Sender = nil },
		"no store":    func(e *dht.Env) { e.Store = nil },
		"alpha 65":    func(e *dht.Env) { e.Alpha = 65 },
		"alpha -1":    func(e *dht.Env) { e.Alpha = -1 },
	} {
		env := good
		spoil(&env)
		if d, err := dht.New(env); err == nil {
			d.Close()
			t.Errorf("%s: no error", what)
		}
	}
	closed := memory.New()
	closed.Close()
	good.Store = closed
	if _, err := dht.New(good); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a broken store: got %v", err)
	}
}

// TestDamagedStore: what cannot be read is dropped, and the rest is used.
func TestDamagedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := dhttest.NewMesh(t, newDHT, dhttest.Latency)
		nodes := m.StartJoined(2)
		if _, err := nodes[0].PutRecord(t.Context(), nodes[0].SignRecord("a", 1, "x")); err != nil {
			t.Fatal(err)
		}
		nodes[0].Stop()
		nodes[0].Store.Put([]byte("dht/item/damaged"), []byte("?"))
		nodes[0].Store.Put([]byte("dht/contacts"), []byte("?"))
		nodes[0].Restart()
		if _, err := nodes[0].GetRecord(t.Context(), nodes[0].Peer.ID, "a"); err != nil {
			t.Errorf("GetRecord after damage: %v", err)
		}
		if _, err := nodes[0].Store.Get([]byte("dht/item/damaged")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the damaged record is still there: %v", err)
		}
	})
}

// failingStore refuses writes.
type failingStore struct{ store.Store }

var errDisk = errors.New("disk full")

func (failingStore) Put(key, value []byte) error { return errDisk }

// TestDiskFull: an own put tells the reason, a peer's gets no acknowledgement.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		failing := false
		m := dhttest.NewMesh(t, func(env dht.Env) (dht.DHT, error) {
			if failing {
				env.Store, env.Logger = failingStore{env.Store}, zap.New(core)
			}
			return dht.New(env)
		}, dhttest.Latency)
		good := m.Start()
		failing = true
		bad := m.Start()
		bad.MustJoin(good.Contact())
		if _, err := bad.PutRecord(t.Context(), bad.SignRecord("a", 1, "x")); !errors.Is(err, errDisk) {
			t.Errorf("own put: got %v, want %v", err, errDisk)
		}
		time.Sleep(time.Minute)
		if acks, err := good.PutRecord(t.Context(), good.SignRecord("a", 1, "x")); err != nil || acks != 0 {
			t.Errorf("put at a full holder: got %d, %v, want 0, nil", acks, err)
		}
		if logs.Len() == 0 {
			t.Error("nothing is logged")
		}
	})
}

// grudging is a store that is slow to delete and fails every third time.
type grudging struct {
	store.Store
	deletions *atomic.Int64
}

func (g grudging) Delete(key []byte) error {
	time.Sleep(10 * time.Millisecond)
	if g.deletions.Add(1)%3 == 0 {
		return errDisk
	}
	return g.Store.Delete(key)
}

// TestNothingStays: what expired leaves the disk, however hard that is, and so
// does what expired while the node was away.
func TestNothingStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deletions atomic.Int64
		m := dhttest.NewMesh(t, func(env dht.Env) (dht.DHT, error) {
			env.Store = grudging{env.Store, &deletions}
			return dht.New(env)
		}, dhttest.Latency)
		nodes := m.StartJoined(2)
		time.Sleep(20 * time.Second)
		for i := range 300 {
			if acks, err := nodes[0].PutRecord(t.Context(), nodes[0].SignRecord(fmt.Sprint(i), 1, "x")); err != nil || acks != 1 {
				t.Fatalf("put %d: %d, %v", i, acks, err)
			}
		}
		nodes[0].Stop()
		// The first deletions go on before the restart, the rest after it.
		time.Sleep(time.Hour)
		for left := 300; left == 300; left = onDisk(nodes[1].Store) {
			time.Sleep(time.Second)
		}
		nodes[1].Restart()
		time.Sleep(5 * time.Minute)
		s := nodes[1].DHT.(*dht.Kademlia).Stats()
		if left := onDisk(nodes[1].Store); left != 0 || s.Records != 0 || s.Erasing != 0 {
			t.Errorf("%d stay on disk, %+v", left, s)
		}
		if deletions.Load() < 300*4/3 || s.ErasuresFailed == 0 {
			t.Errorf("%d deletions, %d failed since the restart: the test tests nothing", deletions.Load(), s.ErasuresFailed)
		}
	})
}

func onDisk(s store.Store) (count int) {
	for range s.Scan([]byte("dht/item/")) {
		count++
	}
	return count
}

// TestManyAtOnce puts more under way than there are senders.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := dhttest.NewMesh(t, newDHT, dhttest.Latency)
		nodes := m.StartJoined(25)
		time.Sleep(20 * time.Second)
		const count = 200
		var wg sync.WaitGroup
		for i := range count {
			wg.Go(func() {
				r := nodes[0].SignRecord(fmt.Sprint(i), 1, "x")
				if acks, err := nodes[0].PutRecord(t.Context(), r); err != nil || acks < 15 {
					t.Errorf("put %d: %d acks, %v", i, acks, err)
				}
				if _, err := nodes[1+i%24].GetRecord(t.Context(), r.Owner, r.Name); err != nil {
					t.Errorf("get %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		k := nodes[0].DHT.(*dht.Kademlia)
		if s := k.Stats(); s.Records != count || s.RequestsRefused != 0 || s.Seats == 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

// TestHostileSender: answers of another format, or with a bad signature in
// them, are worth as much as none.
func TestHostileSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for what, change := range map[string]func([]byte) []byte{
			"nothing": func([]byte) []byte { return nil },
			"random":  func([]byte) []byte { return []byte(strings.Repeat("?", 100)) },
			"wrong signature": func(b []byte) []byte {
				if len(b) > 100 { // within the signature of the record at the end
					b[len(b)-40] ^= 1
				}
				return b
			},
		} {
			var hostile atomic.Bool
			m := dhttest.NewMesh(t, func(env dht.Env) (dht.DHT, error) {
				env.Sender = changed{env.Sender, &hostile, change}
				return dht.New(env)
			}, dhttest.Latency)
			nodes := m.StartJoined(2)
			if _, err := nodes[0].PutRecord(t.Context(), nodes[0].SignRecord("a", 1, "x")); err != nil {
				t.Fatal(err)
			}
			late := m.Start("call:*") // gets no seat, so nothing is handed over to it
			late.MustJoin(nodes[0].Contact())
			hostile.Store(true)
			if r, err := late.GetRecord(t.Context(), nodes[0].Peer.ID, "a"); !errors.Is(err, dht.ErrNotFound) {
				t.Errorf("%s: got %v, %v", what, r, err)
			}
			for _, n := range append(nodes, late) {
				n.Stop()
			}
		}
	})
}

// changed is a sender whose answers are tampered with.
type changed struct {
	dht.Sender
	hostile *atomic.Bool
	change  func([]byte) []byte
}

func (c changed) Send(ctx context.Context, to dht.Contact, m dht.Message) (dht.Reply, error) {
	reply, err := c.Sender.Send(ctx, to, m)
	if c.hostile.Load() && err == nil {
		reply.Data = c.change(reply.Data)
	}
	return reply, err
}

// TestNoSecrets: nothing that is logged or printed shows the key.
func TestNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		m := dhttest.NewMesh(t, func(env dht.Env) (dht.DHT, error) {
			env.Logger = zap.New(core)
			return dht.New(env)
		}, dhttest.Latency)
		m.StartJoined(3)
		seed := hex.EncodeToString([]byte{31: 1})
		if logs.Len() == 0 || strings.Contains(fmt.Sprint(logs.All()), seed) {
			t.Errorf("%d log lines, or the seed among them", logs.Len())
		}
	})
}

// TestVectorsExist guards the seeds of the fuzz targets.
func TestVectorsExist(t *testing.T) {
	files, err := filepath.Glob("../testdata/vectors/dht_*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("%d files of vectors, %v, want 4", len(files), err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Size() < 100 {
			t.Errorf("%s is empty: %v", file, err)
		}
	}
}

// BenchmarkLookup looks up random keys on a warm mesh of 100 nodes in memory.
func BenchmarkLookup(b *testing.B) {
	m := dhttest.NewMesh(b, newDHT, 0)
	nodes := m.StartJoined(100)
	for i, n := range nodes {
		n.MustJoin(nodes[(i+50)%100].Contact())
	}
	start, i := m.Sent(), 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		key := dht.RecordKey(nodes[0].Peer.ID, fmt.Sprint(i))
		found, err := nodes[i%100].DHT.(*dht.Kademlia).FindNearest(b.Context(), key)
		if err != nil || len(found) < 10 {
			b.Fatalf("found %d, %v", len(found), err)
		}
	}
	b.ReportMetric(float64(m.Sent()-start)/float64(b.N), "messages/op")
}
