package blob

import (
	"errors"
	"os"
	"testing"
)

// TestSavesUnderway counts groups as durable long before the end.
func TestSavesUnderway(t *testing.T) {
	s := openStore(t, t.TempDir())
	from, err := s.Put(t.Context(), &pattern{n: saveEvery + GroupSize}, "")
	if err != nil {
		t.Fatal(err)
	}
	b := get(t, s, from.ID)
	other := openStore(t, t.TempDir())
	p := partialOf(t, other, from.ID, from.Size)
	feed(t, p, b, 0, saveEvery/GroupSize-1)
	if _, err := other.readState(from.ID); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("before the first save: %v, want no state", err)
	}
	feed(t, p, b, saveEvery/GroupSize-1, 2)
	st, err := other.readState(from.ID)
	if err != nil {
		t.Fatal(err)
	}
	if have, _ := st.have.bytes(st.size); have != saveEvery {
		t.Errorf("saved %d bytes, want %d", have, saveEvery)
	}
}

// TestExchangedFiles puts the tree or state of one BLOB in the place of another's.
func TestExchangedFiles(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	a, b := put(t, s, []byte("one")).ID, put(t, s, []byte("two")).ID
	p := partialOf(t, s, ID{1}, 100)
	closeIt(t, p)
	closeIt(t, partialOf(t, s, ID{2}, 100))
	closeIt(t, s)
	for from, to := range map[string]string{
		s.path(a, treeSuffix):         s.path(b, treeSuffix),
		s.partial(ID{1}, stateSuffix): s.partial(ID{2}, stateSuffix),
	} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = openStore(t, dir)
	if _, err := s.Stat(b); !errors.Is(err, ErrDamaged) {
		t.Errorf("stat with another's tree: %v, want ErrDamaged", err)
	}
	if got := s.Partials(); len(got) != 1 || got[0].ID != (ID{1}) {
		t.Errorf("partials with another's state: %+v, want one", got)
	}
}
