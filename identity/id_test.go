package identity

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// The did:key of the all-zero seed's public key, as other did:key tools print
// it.
func TestIDText(t *testing.T) {
	id := PrivateKeyFromSeed([32]byte{}).ID()
	const want = "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
	if id.String() != want || id.DID() != "did:key:"+want {
		t.Errorf("got %s", id)
	}
	for _, s := range []string{want, "did:key:" + want} {
		if got, err := ParseID(s); err != nil || got != id {
			t.Errorf("ParseID(%q) = %v, %v", s, got, err)
		}
	}
}

func TestParseIDRefuses(t *testing.T) {
	good := PrivateKeyFromSeed([32]byte{}).ID().String()
	for _, bad := range []string{
		"", "z", "did:key:", good[1:], "Z" + good[1:], "m" + good[1:], good + "1", good[:47], "z1" + good[1:], " " + good, good + "\n",
		strings.ToLower(good), "did:web:" + good, "did:key:did:key:" + good, strings.Replace(good, "M", "0", 1),
		"z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc", // an X25519 key
		ID{}.String(), strings.Repeat("z", 1<<20),
	} {
		if id, err := ParseID(bad); !errors.Is(err, ErrBadID) || !id.IsZero() || len(err.Error()) > 400 {
			t.Errorf("ParseID(%.60q) = %v, %v", bad, id, err)
		}
	}
}

func TestIDJSON(t *testing.T) {
	type doc struct {
		ID  ID
		Map map[ID]int
	}
	id := localOf(t, 1, "a").ID()
	text, err := json.Marshal(doc{id, map[ID]int{id: 1}})
	if err != nil {
		t.Fatal(err)
	}
	var got doc
	if err := json.Unmarshal(text, &got); err != nil || got.ID != id || got.Map[id] != 1 {
		t.Errorf("%s: %v", text, err)
	}
	if err := json.Unmarshal([]byte(`{"ID":""}`), &got); err != nil || !got.ID.IsZero() {
		t.Errorf("empty text: %v", err)
	}
	if err := json.Unmarshal([]byte(`{"ID":"x"}`), &got); !errors.Is(err, ErrBadID) {
		t.Errorf("junk: %v", err)
	}
}

func TestIDCompare(t *testing.T) {
	a, b := ID{1}, ID{2}
	if a.Compare(b) >= 0 || b.Compare(a) <= 0 || a.Compare(a) != 0 {
		t.Error("wrong order")
	}
	a.PublicKey()[0] = 9
	if a[0] != 1 {
		t.Error("PublicKey hands out the id itself")
	}
}
