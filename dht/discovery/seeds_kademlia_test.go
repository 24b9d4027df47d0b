package discovery_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/dht/dhttest"
	"github.com/staex-mcc/mcc/dht/discovery"
	"github.com/staex-mcc/mcc/identity"
)

// TestSeedsOverKademlia runs Seeds over the real DHT: seeders are found while
// they renew, one that crashed until its lease ends, one that withdrew no longer.
func TestSeedsOverKademlia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := dhttest.NewMesh(t, func(env dht.Env) (dht.DHT, error) { return dht.New(env) }, dhttest.Latency)
		nodes := m.StartJoined(12)
		seeds := make([]*discovery.Seeds, 4)
		for i := range seeds {
			seeds[i] = discovery.NewSeeds(discovery.SeedsConfig{DHT: nodes[i], Identity: nodes[i].Identity, Store: nodes[i].Store})
			defer seeds[i].Close(t.Context())
		}
		blob, reader := [32]byte{7}, seeds[3]
		want := func(when string, who ...int) {
			t.Helper()
			var ids []identity.ID
			for _, i := range who {
				ids = append(ids, nodes[i].Peer.ID)
			}
			slices.SortFunc(ids, identity.ID.Compare)
			var got []identity.ID
			found, err := reader.Find(t.Context(), blob)
			for _, s := range found {
				got = append(got, s.Node)
			}
			if err != nil || !slices.Equal(got, ids) {
				t.Fatalf("%s: %v, %v, want %v", when, got, err, ids)
			}
		}
		want("before")
		for _, s := range seeds[:3] {
			s.Announce(blob)
		}
		time.Sleep(time.Minute)
		want("after a minute", 0, 1, 2)
		time.Sleep(100 * time.Minute)
		want("after 100 minutes", 0, 1, 2)
		if err := seeds[0].Withdraw(t.Context(), blob); err != nil {
			t.Fatal(err)
		}
		want("withdrawn", 1, 2)
		nodes[1].Stop() // its Seeds go on in vain
		time.Sleep(10 * time.Minute)
		want("soon after a crash", 1, 2)
		time.Sleep(discovery.SeedLife)
		want("later", 2)
		if err := seeds[2].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("closed")
	})
}
