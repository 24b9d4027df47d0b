package dht_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/dht/dhttest"
	"github.com/staex-mcc/mcc/store"
)

var large = strings.Repeat("v", dht.MaxValue)

// TestDamagedValue: a large value that the store lost or damaged is fetched
// from others, and while nobody has it, it is not found.
func TestDamagedValue(t *testing.T) {
	damages := map[string]func(s store.Store, e store.Entry){
		"missing":   func(s store.Store, e store.Entry) { s.Delete(e.Key) },
		"empty":     func(s store.Store, e store.Entry) { s.Put(e.Key, nil) },
		"cut":       func(s store.Store, e store.Entry) { s.Put(e.Key, e.Value[:len(e.Value)-1]) },
		"one bit":   func(s store.Store, e store.Entry) { e.Value[5000] ^= 1; s.Put(e.Key, e.Value) },
		"the head":  func(s store.Store, e store.Entry) { s.Put(e.Key, e.Value[:200]) },
		"not a bit": nil,
	}
	for what, damage := range damages {
		for _, restart := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				m := dhttest.NewMesh(t, newDHT, dhttest.Latency)
				nodes := m.StartJoined(2)
				time.Sleep(20 * time.Second)
				owner := nodes[0]
				key, acks, err := owner.PutValue(t.Context(), []byte(large))
				if err != nil || acks != 1 {
					t.Fatalf("PutValue: %d, %v", acks, err)
				}
				owner.SetCut(true)
				damaged(owner.Store, damage)
				if restart {
					owner.Restart()
					owner.SetCut(true)
				}
				_, err = owner.GetValue(t.Context(), key)
				if found := err == nil; found != (damage == nil) || !found && !errors.Is(err, dht.ErrNotFound) {
					t.Errorf("%s, alone, restart %v: got %v", what, restart, err)
				}
				owner.SetCut(false)
				owner.MustJoin(nodes[1].Contact())
				if got, err := owner.GetValue(t.Context(), key); err != nil || string(got) != large {
					t.Errorf("%s, with a holder, restart %v: got %d bytes, %v", what, restart, len(got), err)
				}
				lost := owner.DHT.(*dht.Kademlia).Stats().RecordsLost
				if want := damage != nil && !restart; (lost == 1) != want {
					t.Errorf("%s, restart %v: %d lost", what, restart, lost)
				}
			})
		}
	}
}

func damaged(s store.Store, damage func(store.Store, store.Entry)) {
	if damage == nil {
		return
	}
	for e := range s.Scan([]byte("dht/item/")) {
		damage(s, e)
	}
}

// TestDamagedHolder: a holder whose store is damaged answers that it has
// nothing, and the next one is asked.
func TestDamagedHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := dhttest.NewMesh(t, newDHT, dhttest.Latency)
		nodes := m.StartJoined(4)
		time.Sleep(20 * time.Second)
		for _, n := range nodes[1:] { // now all know all: nobody is a newcomer later
			n.MustJoin(nodes[0].Contact())
		}
		time.Sleep(20 * time.Second)
		key, _, err := nodes[0].PutValue(t.Context(), []byte(large))
		if err != nil {
			t.Fatal(err)
		}
		guest := m.Start("call:*")
		guest.MustJoin(nodes[0].Contact())
		for i, n := range nodes {
			got, err := guest.GetValue(t.Context(), key)
			if err != nil || string(got) != large {
				t.Errorf("with %d damaged: got %d bytes, %v", i, len(got), err)
			}
			damaged(n.Store, func(s store.Store, e store.Entry) { s.Delete(e.Key) })
			// It asks the others itself.
			if _, err := n.GetValue(t.Context(), key); (err == nil) != (i < len(nodes)-1) {
				t.Errorf("at the damaged node %d: got %v", i, err)
			}
		}
		if _, err := guest.GetValue(t.Context(), key); !errors.Is(err, dht.ErrNotFound) {
			t.Errorf("with all damaged: got %v", err)
		}
	})
}

// stuckStore does not finish a write before it is let go.
type stuckStore struct {
	store.Store
	gate chan struct{}
}

func (s stuckStore) Put(key, value []byte) error {
	<-s.gate
	return s.Store.Put(key, value)
}

// TestManyStreams: requests over streams are bounded; small ones still pass.
func TestManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		stuck := false
		m := dhttest.NewMesh(t, func(env dht.Env) (dht.DHT, error) {
			if stuck {
				env.Store = stuckStore{env.Store, gate}
			}
			return dht.New(env)
		}, dhttest.Latency)
		nodes := m.StartJoined(2)
		time.Sleep(20 * time.Second)
		m.Puts()
		if _, _, err := nodes[0].PutValue(t.Context(), []byte(large)); err != nil {
			t.Fatal(err)
		}
		puts := m.Puts()
		at := slices.IndexFunc(puts, func(p dhttest.Packet) bool { return p.Stream })
		stuck = true
		victim := m.Start()
		req := dht.Request{Peer: nodes[0].Peer, From: nodes[0].Addr, Data: puts[at].Data, MaxAnswer: dht.MaxMessage}
		var wg sync.WaitGroup
		var mu sync.Mutex
		busy, done := 0, 0
		for range 40 {
			wg.Go(func() {
				_, err := victim.Handle(t.Context(), req)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					done++
				} else if errors.Is(err, dht.ErrBusy) {
					busy++
				}
			})
		}
		synctest.Wait()
		req.Data, req.MaxAnswer = puts[1-at].Data, dht.MaxCall
		if _, err := victim.Handle(t.Context(), req); err != nil {
			t.Errorf("a datagram meanwhile: %v", err)
		}
		close(gate)
		wg.Wait()
		if busy != 8 || done != 32 {
			t.Errorf("%d refused and %d done, want 8 and 32", busy, done)
		}
		if s := victim.DHT.(*dht.Kademlia).Stats(); s.RequestsRefused != 8 || s.Values != 1 || s.ValueBytes != dht.MaxValue {
			t.Errorf("stats: %+v", s)
		}
	})
}

// TestManyLargePuts puts more large values at once than may be under way.
func TestManyLargePuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := dhttest.NewMesh(t, newDHT, dhttest.Latency)
		nodes := m.StartJoined(25)
		time.Sleep(20 * time.Second)
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				value := bytes.Repeat([]byte{byte(i)}, dht.MaxValue)
				key, acks, err := nodes[0].PutValue(t.Context(), value)
				if err != nil || acks < 15 {
					t.Errorf("put %d: %d acks, %v", i, acks, err)
				}
				if got, err := nodes[1+i%24].GetValue(t.Context(), key); err != nil || !bytes.Equal(got, value) {
					t.Errorf("get %d: %d bytes, %v", i, len(got), err)
				}
			})
		}
		wg.Wait()
	})
}
