package blob

import "context"

// source is where nodes and groups come from, unproven: a stream or files.
type source interface {
	node(pos uint64, into *pair) error
	group(index uint64, into []byte) error
}

// Sink takes what has been verified, in the order of the tree: a node before all
// below it, groups by rising index. An error ends the walk and is handed on.
type Sink interface {
	// Node takes the inner node with that number in pre-order (the root is 0):
	// the chaining values of its two children, 32 bytes each. node is only
	// valid during the call.
	Node(pos uint64, node *[64]byte) error
	// Group takes the bytes of a group: GroupSize, or fewer of the last one.
	// data is only valid during the call.
	Group(index uint64, data []byte) error
}

// walk takes the groups [first, end) and the nodes above them from a source,
// compares each with what the node above says, and only then hands it to a sink.
type walk struct {
	ctx        context.Context // asked before each group
	from       source
	to         Sink
	size       int64
	first, end uint64
	room       *group
	pair       pair // the node at hand
	// wrong makes the error for a subtree whose root is not the expected one.
	wrong func(span) error
}

func (w *walk) run(id ID) error { return w.subtree(whole(w.size), id.value()) }

func (w *walk) subtree(s span, want value) error {
	switch {
	case !s.meets(w.first, w.end):
		return nil
	case s.n == 1:
		return w.leaf(s, want)
	}
	left, right, err := w.node(s, want)
	if err != nil {
		return err
	}
	l, r := s.children()
	if err := w.subtree(l, left); err != nil {
		return err
	}
	return w.subtree(r, right)
}

func (w *walk) node(s span, want value) (left, right value, err error) {
	if err := w.from.node(s.pos, &w.pair); err != nil {
		return left, right, err
	}
	left, right = w.pair.values()
	if join(left, right, s.pos == 0) != want {
		return left, right, w.wrong(s)
	}
	return left, right, w.to.Node(s.pos, (*[64]byte)(&w.pair))
}

func (w *walk) leaf(s span, want value) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	n := groupLen(w.size, s.first)
	if err := w.from.group(s.first, w.room[:n]); err != nil {
		return err
	}
	// The number 0 is the root's, so only a group without nodes above has it.
	if w.room.hash(n, s.first, s.pos == 0) != want {
		return w.wrong(s)
	}
	return w.to.Group(s.first, w.room[:n])
}
