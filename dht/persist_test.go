package dht

import (
	"errors"
	"testing"
)

// TestFullQueue: the engine hears of a write that finds no room, of a deletion
// as of a put.
func TestFullQueue(t *testing.T) {
	k := &Kademlia{}
	for i := range k.writes {
		k.writes[i] = make(chan writeJob, 1)
	}
	k.startWrite(Write{ID: 1})
	k.startWrite(Write{ID: 2})
	if len(k.again) != 1 {
		t.Fatalf("%d events, want one", len(k.again))
	}
	if s, ok := k.again[0].(Stored); !ok || s.Write != 2 || !errors.Is(s.Err, ErrBusy) {
		t.Errorf("got %+v", k.again[0])
	}
}
