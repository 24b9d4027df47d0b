package blob

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"testing"
)

// collect is a sink that keeps everything.
type collect struct {
	nodes  map[uint64][64]byte
	groups map[uint64][]byte
}

func newCollect() *collect {
	return &collect{map[uint64][64]byte{}, map[uint64][]byte{}}
}

func (c *collect) Node(pos uint64, node *[64]byte) error {
	c.nodes[pos] = *node
	return nil
}

func (c *collect) Group(index uint64, data []byte) error {
	c.groups[index] = bytes.Clone(data)
	return nil
}

// wantGroups checks that c has those groups of b and no others.
func (c *collect) wantGroups(t *testing.T, b []byte, first, n uint64) {
	t.Helper()
	if got := uint64(len(c.groups)); got != n {
		t.Errorf("%d groups, want %d", got, n)
	}
	c.wantRight(t, b)
	for i := first; i < first+n; i++ {
		if _, ok := c.groups[i]; !ok {
			t.Errorf("group %d is missing", i)
		}
	}
}

// wantRight checks that every group in c is that of b.
func (c *collect) wantRight(t *testing.T, b []byte) {
	t.Helper()
	for i, data := range c.groups {
		start := min(int(i)*GroupSize, len(b))
		if !bytes.Equal(data, b[start:min(start+GroupSize, len(b))]) {
			t.Errorf("group %d is wrong", i)
		}
	}
}

var sliceSizes = []int64{0, 1, GroupSize, GroupSize + 1, 3 * GroupSize, 5*GroupSize - 1, 8 * GroupSize, 11*GroupSize + 9}

func TestSlices(t *testing.T) {
	s := openStore(t, t.TempDir())
	for _, size := range sliceSizes {
		want := content(size)
		b := get(t, s, put(t, s, want).ID)
		groups := Groups(size)
		for first := range groups {
			for n := uint64(1); n <= groups-first; n++ {
				slice := sliceOf(t, b, first, n)
				if got := SliceSize(size, first, n); got != int64(len(slice)) {
					t.Errorf("size %d groups %d+%d: SliceSize %d, written %d", size, first, n, got, len(slice))
				}
				r := bytes.NewReader(append(slice, "next"...))
				c := newCollect()
				if err := ReadSlice(r, b.Info().ID, size, first, n, c); err != nil {
					t.Errorf("size %d groups %d+%d: %v", size, first, n, err)
				}
				c.wantGroups(t, want, first, n)
				if rest, _ := io.ReadAll(r); string(rest) != "next" {
					t.Errorf("size %d groups %d+%d: %d bytes after the slice are left, want 4", size, first, n, len(rest))
				}
			}
		}
	}
}

// TestWholeSlice spells the order of a slice out.
func TestWholeSlice(t *testing.T) {
	s := openStore(t, t.TempDir())
	want := content(3 * GroupSize)
	leaf := func(i uint64) value {
		return (*group)(want[i*GroupSize:]).hash(GroupSize, i, false)
	}
	var root, left pair
	left.set(leaf(0), leaf(1))
	root.set(join(leaf(0), leaf(1), false), leaf(2))
	expected := slices.Concat(root[:], left[:], want)
	b := get(t, s, put(t, s, want).ID)
	if got := sliceOf(t, b, 0, 3); !bytes.Equal(got, expected) {
		t.Error("the slice is not root, left node, three groups")
	}
	if got := sliceOf(t, b, 2, 1); !bytes.Equal(got, slices.Concat(root[:], want[2*GroupSize:])) {
		t.Error("the slice of the last group is not root, group")
	}
}

// TestFlippedByte changes bytes all over a slice: whatever reaches the sink is
// right, and the change is always found.
func TestFlippedByte(t *testing.T) {
	s := openStore(t, t.TempDir())
	const size = 6*GroupSize + 100
	want := content(size)
	b := get(t, s, put(t, s, want).ID)
	for _, r := range [][2]uint64{{0, 7}, {2, 3}, {6, 1}, {3, 1}} {
		slice := sliceOf(t, b, r[0], r[1])
		honest := newCollect()
		if err := ReadSlice(bytes.NewReader(slice), b.Info().ID, size, r[0], r[1], honest); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(slice); i += 1 + i%64*37 {
			changed := bytes.Clone(slice)
			changed[i] ^= 1 << (i % 8)
			c := newCollect()
			err := ReadSlice(bytes.NewReader(changed), b.Info().ID, size, r[0], r[1], c)
			if !errors.Is(err, ErrMismatch) {
				t.Fatalf("byte %d of slice %v changed: %v, want ErrMismatch", i, r, err)
			}
			c.wantRight(t, want)
			for pos, node := range c.nodes {
				if node != honest.nodes[pos] {
					t.Errorf("byte %d of slice %v changed: node %d is wrong", i, r, pos)
				}
			}
		}
	}
}

func TestCutSlice(t *testing.T) {
	s := openStore(t, t.TempDir())
	b := get(t, s, put(t, s, content(3*GroupSize+1)).ID)
	slice := sliceOf(t, b, 1, 3)
	for _, n := range []int{0, 1, 63, 64, 65, 200, GroupSize, len(slice) - 1} {
		err := ReadSlice(bytes.NewReader(slice[:n]), b.Info().ID, 3*GroupSize+1, 1, 3, newCollect())
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes of a slice: %v, want io.ErrUnexpectedEOF", n, err)
		}
	}
}

// TestFalseSize offers honest slices under false sizes: a group that verifies is
// always right, and the last group under a false size never does.
func TestFalseSize(t *testing.T) {
	s := openStore(t, t.TempDir())
	sizes := slices.Clone(sliceSizes)
	for g := range int64(10) {
		sizes = append(sizes, g*GroupSize-1, g*GroupSize, g*GroupSize+1, g*GroupSize+1024)
	}
	unnoticed := 0
	for _, size := range sliceSizes {
		want := content(size)
		b := get(t, s, put(t, s, want).ID)
		for first := range Groups(size) {
			slice := sliceOf(t, b, first, Groups(size)-first)
			stream := append(slice, content(2*GroupSize)...)
			for _, claimed := range sizes {
				if claimed < 0 || claimed == size || first >= Groups(claimed) {
					continue
				}
				last := Groups(claimed) - 1
				c := newCollect()
				err := ReadSlice(bytes.NewReader(stream), b.Info().ID, claimed, first, last-first+1, c)
				if !errors.Is(err, ErrMismatch) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("size %d claimed to be %d, groups from %d: %v, want ErrMismatch", size, claimed, first, err)
				}
				c.wantRight(t, want)
				unnoticed += len(c.groups)
			}
		}
	}
	if unnoticed == 0 {
		t.Error("no group verified under a false size: the test does not reach what it is for")
	}
}

func TestBadRange(t *testing.T) {
	s := openStore(t, t.TempDir())
	const size = 3 * GroupSize
	b := get(t, s, put(t, s, content(size)).ID)
	for _, tt := range []struct {
		size     int64
		first, n uint64
		want     error
	}{
		{size, 0, 0, ErrRange},
		{size, 3, 1, ErrRange},
		{size, 0, 4, ErrRange},
		{size, 1, math.MaxUint64, ErrRange},
		{size, math.MaxUint64, 2, ErrRange},
		{-1, 0, 1, ErrRange},
		{MaxSize + 1, 0, 1, ErrTooLarge},
		{math.MaxInt64, 0, 1, ErrTooLarge},
	} {
		if err := ReadSlice(bytes.NewReader(nil), ID{}, tt.size, tt.first, tt.n, nowhere{}); !errors.Is(err, tt.want) {
			t.Errorf("read %+v: %v", tt, err)
		}
		if got := SliceSize(tt.size, tt.first, tt.n); got != 0 {
			t.Errorf("size of %+v: %d, want 0", tt, got)
		}
		if tt.size != size {
			continue
		}
		if err := b.WriteSlice(t.Context(), io.Discard, tt.first, tt.n); !errors.Is(err, tt.want) {
			t.Errorf("write %+v: %v", tt, err)
		}
	}
}

func TestSliceSizeOfLargest(t *testing.T) {
	groups := Groups(MaxSize)
	if got, want := SliceSize(MaxSize, 0, groups), int64(MaxSize+64*(groups-1)); got != want {
		t.Errorf("whole: %d, want %d", got, want)
	}
	if got, want := SliceSize(MaxSize, groups/3, 1), int64(GroupSize+64*26); got != want {
		t.Errorf("one group: %d, want %d", got, want)
	}
}

var errSink = errors.New("sink is full")

type fullSink struct{ nowhere }

func (fullSink) Group(uint64, []byte) error { return errSink }

func TestSinkError(t *testing.T) {
	s := openStore(t, t.TempDir())
	b := get(t, s, put(t, s, content(100)).ID)
	err := ReadSlice(bytes.NewReader(sliceOf(t, b, 0, 1)), b.Info().ID, 100, 0, 1, fullSink{})
	if !errors.Is(err, errSink) {
		t.Errorf("error %v, want that of the sink", err)
	}
}

// TestNodesTell has a slice hand on exactly the nodes above its groups.
func TestNodesTell(t *testing.T) {
	s := openStore(t, t.TempDir())
	b := get(t, s, put(t, s, content(8*GroupSize)).ID)
	c := newCollect()
	if err := ReadSlice(bytes.NewReader(sliceOf(t, b, 5, 1)), b.Info().ID, 8*GroupSize, 5, 1, c); err != nil {
		t.Fatal(err)
	}
	// The root is 0, its right child 4, under that on the left 5.
	if got := slices.Sorted(maps.Keys(c.nodes)); !slices.Equal(got, []uint64{0, 4, 5}) {
		t.Errorf("nodes %v, want 0 4 5", got)
	}
}
