package blob

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestID(t *testing.T) {
	const empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
	id, err := ParseID(strings.ToUpper(empty))
	if err != nil || id.String() != empty || id != hashOf(nil) {
		t.Errorf("parsed %s, %v; want %s", id, err, empty)
	}
	b, err := json.Marshal(id)
	if err != nil || string(b) != `"`+empty+`"` {
		t.Errorf("as JSON %s, %v", b, err)
	}
	var back ID
	if err := json.Unmarshal(b, &back); err != nil || back != id {
		t.Errorf("from JSON %s, %v", back, err)
	}
	if got := idOf(id.value()); got != id {
		t.Errorf("through words %s, want %s", got, id)
	}
	for _, bad := range []string{"", "af", empty[1:], empty + "00", "g" + empty[1:], " " + empty[1:], strings.Repeat("ü", 32)} {
		if got, err := ParseID(bad); err == nil || got != (ID{}) {
			t.Errorf("ParseID(%q) = %s, %v; want an error", bad, got, err)
		}
		kept := id
		if err := kept.UnmarshalText([]byte(bad)); err == nil || kept != id {
			t.Errorf("unmarshalling %q leaves %s, %v", bad, kept, err)
		}
	}
}

func sampleInfo() Info {
	return Info{ID: hashOf([]byte("x")), Size: 3*GroupSize + 5, Name: "häuser.txt", Added: time.Unix(1700000000, 123).UTC()}
}

func TestHeader(t *testing.T) {
	want := sampleInfo()
	b := appendHeader([]byte("before"), want)
	if len(b) != 6+headerSize {
		t.Fatalf("%d bytes, want %d", len(b)-6, headerSize)
	}
	got, rest, err := decodeHeader(append(b[6:], 1, 2, 3))
	if err != nil || got != want || !bytes.Equal(rest, []byte{1, 2, 3}) {
		t.Errorf("decoded %+v with %v behind, %v; want %+v", got, rest, err, want)
	}
	for i := range headerSize {
		changed := bytes.Clone(b[6 : 6+headerSize])
		changed[i] ^= 1
		if got, _, err := decodeHeader(changed); err == nil {
			t.Errorf("byte %d changed: accepted as %+v", i, got)
		}
	}
	golden := "6d6363620100000005c00000000000007b002a36fe9c9717" // magic to time, less the length of the name
	if got := hex.EncodeToString(slices.Concat(b[6:11], []byte{0, 0, 0}, b[14:22], b[22:30])); got != golden {
		t.Errorf("header begins %s, want %s", got, golden)
	}
}

func TestState(t *testing.T) {
	for _, groups := range []int64{1, 63, 64, 65, 128, 1000} {
		size := groups * GroupSize
		want := state{id: ID{1, 2}, size: size, used: time.Unix(5, 6).UTC(), have: newBitmap(uint64(groups))}
		want.have.set(uint64(groups - 1))
		b := appendState(nil, want)
		if int64(len(b)) != stateLen(size) {
			t.Errorf("%d groups: %d bytes, want %d", groups, len(b), stateLen(size))
		}
		got, err := decodeState(b)
		if err != nil || got.id != want.id || got.size != size || !got.used.Equal(want.used) || !slices.Equal(got.have, want.have) {
			t.Errorf("%d groups: %+v, %v; want %+v", groups, got, err, want)
		}
		for i := range b {
			changed := bytes.Clone(b)
			changed[i] ^= 0x40
			if _, err := decodeState(changed); err == nil {
				t.Errorf("%d groups: byte %d changed and accepted", groups, i)
			}
		}
		if _, err := decodeState(append(b, 0)); err == nil {
			t.Errorf("%d groups: a byte behind is accepted", groups)
		}
	}
	past := state{size: 3 * GroupSize, have: bitmap{1 << 3}}
	if _, err := decodeState(appendState(nil, past)); err == nil {
		t.Error("a bit past the last group is accepted")
	}
}

// TestBitmap compares with a plain set.
func TestBitmap(t *testing.T) {
	const groups = 200
	rng := rand.New(rand.NewPCG(1, 2))
	b, set := newBitmap(groups), [groups]bool{}
	for range 2000 {
		i := rng.Uint64N(groups)
		if rng.IntN(3) == 0 {
			b.unset(i)
			set[i] = false
		} else if b.set(i) == set[i] {
			t.Fatalf("set(%d) says it was %v", i, set[i])
		} else {
			set[i] = true
		}
		from := rng.Uint64N(groups)
		end := from + rng.Uint64N(groups-from+1)
		for _, want := range []bool{true, false} {
			k := from
			for k < end && set[k] != want {
				k++
			}
			if got := b.next(from, end, want); got != k {
				t.Fatalf("next(%d, %d, %v) = %d, want %d", from, end, want, got, k)
			}
		}
		top, count := uint64(0), uint64(0)
		for k, in := range set {
			if in {
				top, count = uint64(k+1), count+1
			}
		}
		if got := b.top(); got != top {
			t.Fatalf("top %d, want %d", got, top)
		}
		bytes, n := b.bytes(groups*GroupSize - 5)
		if want := int64(count)*GroupSize - map[bool]int64{true: 5}[set[groups-1]]; n != count || bytes != want {
			t.Fatalf("%d bytes in %d groups, want %d in %d", bytes, n, want, count)
		}
	}
}
