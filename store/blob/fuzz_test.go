package blob

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func FuzzParseID(f *testing.F) {
	f.Add(hashOf(nil).String())
	f.Add(strings.ToUpper(hashOf(nil).String()))
	f.Add("af")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err == nil && id.String() != strings.ToLower(s) {
			t.Errorf("ParseID(%q) = %s", s, id)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(appendHeader(nil, sampleInfo()))
	f.Add(appendHeader(nil, Info{}))
	f.Add([]byte(headerMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, rest, err := decodeHeader(b)
		if err == nil && !bytes.Equal(append(appendHeader(nil, info), rest...), b) {
			t.Errorf("%+v does not encode to what it came from", info)
		}
		// With a right sum the fields themselves are tried.
		if len(b) >= headerSize {
			sealed := appendHeader(nil, Info{ID: ID(b[24:]), Size: int64(b[8])<<40 | int64(b[9]), Name: CleanName(string(b[56:90]))})
			if _, _, err := decodeHeader(sealed); err != nil && b[8] == 0 {
				t.Errorf("what was encoded is refused: %v", err)
			}
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add(appendState(nil, state{size: 100 * GroupSize, have: bitmap{5, 1}}))
	f.Add(appendState(nil, state{have: bitmap{1}}))
	f.Add(appendState(nil, state{size: MaxSize, have: bitmap{1}}))
	f.Add([]byte(stateMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := hashOf(b[:max(0, len(b)-stateSum)])
		for _, in := range [][]byte{b, append(bytes.Clone(b[:max(0, len(b)-stateSum)]), sum[:]...)} {
			st, err := decodeState(in)
			if err == nil && !bytes.Equal(appendState(nil, st), in) {
				t.Errorf("%+v does not encode to what it came from", st)
			}
		}
	})
}

// FuzzReadSlice reads an altered slice, under any size and range: what reaches
// the sink is always the BLOB's, and an unaltered slice is always accepted.
func FuzzReadSlice(f *testing.F) {
	const size = 5*GroupSize + 321
	content := content(size)
	id := hashOf(content)
	whole := sliceFromMemory(f, content)
	f.Add(whole, int64(size), uint64(0), uint64(6))
	f.Add(whole[:1000], int64(size), uint64(0), uint64(6))
	f.Add(whole, int64(size+1), uint64(0), uint64(6))
	f.Add(whole, int64(6*GroupSize), uint64(2), uint64(2))
	f.Add(whole[64:], int64(MaxSize), uint64(1<<25), uint64(1<<24))
	f.Add([]byte{}, int64(0), uint64(0), uint64(1))
	f.Fuzz(func(t *testing.T, stream []byte, claimed int64, first, n uint64) {
		c := newCollect()
		err := ReadSlice(bytes.NewReader(stream), id, claimed, first, n, c)
		c.wantRight(t, content)
		if err == nil && claimed != size && first+n == Groups(claimed) {
			t.Errorf("the last group verifies under size %d", claimed)
		}
		honest := claimed == size && first == 0 && n == 6 && bytes.HasPrefix(stream, whole)
		if honest != (err == nil && n == 6) && claimed == size {
			t.Errorf("honest %v, error %v", honest, err)
		}
		for _, known := range []error{ErrMismatch, ErrRange, ErrTooLarge, io.ErrUnexpectedEOF} {
			if errors.Is(err, known) {
				return
			}
		}
		if err != nil {
			t.Errorf("unexpected error %v", err)
		}
	})
}

// sliceFromMemory is the slice of all groups.
func sliceFromMemory(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	out := newSliceWriter(&buf, SliceSize(int64(len(b)), 0, Groups(int64(len(b)))))
	w := walk{ctx: t.Context(), from: memory{b}, to: out, size: int64(len(b)), end: Groups(int64(len(b))), room: new(group)}
	w.wrong = func(s span) error { return errors.New("BUG: " + s.String()) }
	if err := w.run(hashOf(b)); err != nil {
		t.Fatal(err)
	}
	if err := out.w.Flush(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
