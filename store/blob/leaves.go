package blob

import (
	"errors"
	"os"
)

// leafRun is how many groups' chaining values are in memory at once: those of 64
// MiB of content, 128 KiB. It is a power of two, so that a run is a subtree.
const leafRun = 4096

const valueSize = 32

// leaves are the chaining values of the groups in their order. The tree can only
// be laid out when the size is known, so they wait: the last run in memory, those
// before in a temporary file that only a BLOB over 64 MiB needs.
type leaves struct {
	disk   disk
	dir    string
	recent []value
	file   *os.File
	kept   int64 // bytes in file
	taken  int64 // of them by take
}

func (l *leaves) add(values []value) error {
	if len(l.recent)+len(values) > leafRun {
		if err := l.spill(); err != nil {
			return err
		}
	}
	l.recent = append(l.recent, values...)
	return nil
}

func (l *leaves) spill() (err error) {
	if l.file == nil {
		if l.file, err = l.disk.temp(l.dir, "put-*.leaves"); err != nil {
			return err
		}
	}
	buf := make([]byte, 0, len(l.recent)*valueSize)
	for _, v := range l.recent {
		id := idOf(v)
		buf = append(buf, id[:]...)
	}
	if err := l.disk.writeAt(l.file, buf, l.kept); err != nil {
		return err
	}
	l.kept += int64(len(buf))
	l.recent = l.recent[:0]
	return nil
}

// take returns the next n values, at most leafRun.
func (l *leaves) take(n uint64) ([]value, error) {
	if l.taken == l.kept {
		values := l.recent[:n]
		l.recent = l.recent[n:]
		return values, nil
	}
	buf := make([]byte, n*valueSize)
	if _, err := l.file.ReadAt(buf, l.taken); err != nil {
		return nil, err
	}
	l.taken += int64(len(buf))
	values := make([]value, n)
	for i := range values {
		values[i] = ID(buf[i*valueSize : (i+1)*valueSize]).value()
	}
	return values, nil
}

// plant writes the nodes of s to a tree file and returns the root of s. The
// leaves are taken from the left.
func (l *leaves) plant(tree *os.File, s span) (value, error) {
	if s.n <= leafRun {
		return l.plantRun(tree, s)
	}
	leftSpan, rightSpan := s.children()
	left, err := l.plant(tree, leftSpan)
	if err != nil {
		return value{}, err
	}
	right, err := l.plant(tree, rightSpan)
	if err != nil {
		return value{}, err
	}
	var p pair
	p.set(left, right)
	return join(left, right, s.pos == 0), l.disk.writeAt(tree, p[:], nodeOffset(s.pos))
}

// plantRun writes a subtree that fits in memory at once: its numbers are
// consecutive.
func (l *leaves) plantRun(tree *os.File, s span) (value, error) {
	values, err := l.take(s.n)
	if err != nil {
		return value{}, err
	}
	nodes := make([]byte, (s.n-1)*pairSize)
	root := layOut(nodes, values, span{n: s.n}, s.pos == 0)
	if len(nodes) == 0 {
		return root, nil
	}
	return root, l.disk.writeAt(tree, nodes, nodeOffset(s.pos))
}

// layOut fills nodes with those of s, whose numbers and groups count from the
// start of nodes and values. root is set for the root of the whole tree.
func layOut(nodes []byte, values []value, s span, root bool) value {
	if s.n == 1 {
		return values[s.first]
	}
	l, r := s.children()
	left, right := layOut(nodes, values, l, false), layOut(nodes, values, r, false)
	var p pair
	p.set(left, right)
	copy(nodes[s.pos*pairSize:], p[:])
	return join(left, right, root)
}

func (l *leaves) drop() {
	if l.file != nil {
		_ = errors.Join(l.file.Close(), l.disk.remove(l.file.Name()))
	}
}
