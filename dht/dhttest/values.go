package dhttest

import (
	"testing"
	"time"

	"github.com/staex-mcc/mcc/dht"
)

// mustPutValue puts a value that at least least others acknowledge.
func (n *Node) mustPutValue(t *testing.T, value string, least int) dht.Key {
	t.Helper()
	key, acks, err := n.PutValue(t.Context(), []byte(value))
	if err != nil || acks < least || key != dht.ValueKey([]byte(value)) {
		t.Fatalf("PutValue: got %s, %d, %v, want at least %d", key, acks, err, least)
	}
	return key
}

// wantValue fails unless n gets the value.
func (n *Node) wantValue(t *testing.T, key dht.Key, value string) {
	t.Helper()
	if got, err := n.GetValue(t.Context(), key); err != nil || string(got) != value || got == nil {
		t.Errorf("GetValue at %s: got %d bytes, %v, want %d", n.Addr, len(got), err, len(value))
	}
}

func testValues(t *testing.T, m *Mesh) {
	alone := m.Start()
	alone.wantValue(t, alone.mustPutValue(t, "alone", 0), "alone")
	_, err := alone.GetValue(t.Context(), dht.Key{1})
	wantErr(t, "GetValue of nobody's", err, dht.ErrNotFound)

	nodes := m.StartJoined(30)
	settle()
	for _, size := range sizes {
		value := filled(size, "v")
		key := nodes[0].mustPutValue(t, value, 15)
		if again := nodes[0].mustPutValue(t, value, 15); again != key {
			t.Errorf("the same value has two keys")
		}
		for _, n := range nodes {
			n.wantValue(t, key, value)
		}
	}
	_, _, err = nodes[0].PutValue(t.Context(), make([]byte, dht.MaxValue+1))
	wantErr(t, "a value that is too long", err, dht.ErrMalformed)
	// A record is no value, nor the other way round.
	r := nodes[0].SignRecord("a", 1, "x")
	nodes[0].mustPutRecord(t, r, 15)
	for _, n := range nodes[:2] {
		_, err = n.GetValue(t.Context(), r.Key())
		wantErr(t, "GetValue of a record", err, dht.ErrNotFound)
	}
	wantErr(t, "DropValue of a record", nodes[0].DropValue(t.Context(), r.Key()), dht.ErrNotFound)
}

// testValueLife: a value lives as long as a node that put it runs, also after
// that node was away for longer than anybody keeps it.
func testValueLife(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(3)
	settle()
	values := []string{"small", filled(3000, "v")}
	keys := []dht.Key{nodes[0].mustPutValue(t, values[0], 2), nodes[0].mustPutValue(t, values[1], 2)}
	time.Sleep(3 * dht.RecordLife)
	streams := m.Streams()
	if streams != 2 {
		t.Errorf("%d streams to keep a value at 2 holders", streams)
	}
	nodes[0].Stop()
	for i, key := range keys {
		nodes[1].wantValue(t, key, values[i])
	}
	time.Sleep(dht.RecordLife + 2*dht.ClockTolerance)
	for _, key := range keys {
		_, err := nodes[1].GetValue(t.Context(), key)
		wantErr(t, "GetValue after the last holder forgot it", err, dht.ErrNotFound)
	}
	nodes[0].Restart()
	for i, key := range keys {
		nodes[0].wantValue(t, key, values[i])
	}
	nodes[0].MustJoin(nodes[1].Contact())
	settle()
	nodes[0].Stop()
	for i, key := range keys {
		nodes[2].wantValue(t, key, values[i])
	}
}

func testValueDrop(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(3)
	settle()
	for _, size := range []int{3, 3000} {
		value := filled(size, "v")
		key := nodes[0].mustPutValue(t, value, 2)
		nodes[1].mustPutValue(t, value, 2) // two nodes want it
		for i, n := range nodes {
			if err := n.DropValue(t.Context(), key); (err == nil) != (i < 2) {
				t.Errorf("DropValue at node %d: %v", i, err)
			}
			wantErr(t, "DropValue again", n.DropValue(t.Context(), key), dht.ErrNotFound)
		}
		nodes[0].Restart()
		nodes[0].MustJoin(nodes[1].Contact())
		time.Sleep(dht.RecordLife + 2*dht.ClockTolerance)
		for _, n := range nodes {
			_, err := n.GetValue(t.Context(), key)
			wantErr(t, "a dropped value after its expiry", err, dht.ErrNotFound)
		}
	}
}

// testValueLies: what is found in a datagram is checked as well.
func testValueLies(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(3)
	settle()
	key := nodes[0].mustPutValue(t, "hello", 2)
	lie := func(_ dht.Message, answer []byte) []byte {
		answer = append([]byte(nil), answer...)
		for i := range answer {
			if string(answer[i:min(i+5, len(answer))]) == "hello" {
				answer[i] = 'j'
			}
		}
		return answer
	}
	for _, n := range nodes {
		n.SetTamper(lie)
	}
	guest := m.Start("call:*")
	guest.MustJoin(nodes[0].Contact())
	_, err := guest.GetValue(t.Context(), key)
	wantErr(t, "lies from all", err, dht.ErrNotFound)
	nodes[2].SetTamper(nil)
	guest.wantValue(t, key, "hello")
}
