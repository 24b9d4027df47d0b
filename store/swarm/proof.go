package swarm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/staex-mcc/mcc/store/blob"
)

// proof is a BLOB's last group and the nodes above it: what proves its size. It
// is kept in memory, about 18 KiB, until there is a file for it.
type proof struct {
	nodes []proofNode
	index uint64
	group []byte
}

type proofNode struct {
	pos  uint64
	node [64]byte
}

// Node and Group make a proof a blob.Sink.
func (p *proof) Node(pos uint64, node *[64]byte) error {
	p.nodes = append(p.nodes, proofNode{pos, *node})
	return nil
}

// Group is called once, for the last one.
func (p *proof) Group(index uint64, data []byte) error {
	p.index, p.group = index, append([]byte(nil), data...)
	return nil
}

// ask has the seeder at the other end prove the size it claims.
func (p *proof) ask(ctx context.Context, conn net.Conn, id blob.ID, size int64) error {
	last := slice{blob.Groups(size) - 1, 1}
	if _, err := (timedWriter{ctx, conn, silence}).Write(appendRequest(nil, last)); err != nil {
		return fmt.Errorf("ask for the last group: %w", err)
	}
	end := time.Now().Add(groupTime)
	r := timedReader{ctx, conn, silence, func() time.Time { return end }}
	return blob.ReadSlice(r, id, size, last.first, last.n, p)
}

func (p *proof) replay(to blob.Sink) error {
	for _, n := range p.nodes {
		if err := to.Node(n.pos, &n.node); err != nil {
			return err
		}
	}
	return to.Group(p.index, p.group)
}

// prove takes a proven size. The first one opens the files, so later ones wait
// for their turn and find out that they have to agree.
func (f *fetch) prove(ctx context.Context, l *link, size int64, p *proof) error {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if known := f.state.provenSize(); known >= 0 {
		return sameSize(size, known)
	}
	if err := f.openFiles(size, p); err != nil {
		l.diskErr = fmt.Errorf("keep blob of %d bytes: %w", size, err)
		return err
	}
	close(f.sized)
	f.poke()
	return nil
}

func (f *fetch) openFiles(size int64, p *proof) error {
	partial, err := f.s.store.Partial(f.id, size)
	if errors.Is(err, blob.ErrExists) {
		return f.adopt(size)
	}
	if err != nil {
		return err
	}
	if !partial.Has(p.index, 1) {
		if err := p.replay(partial.Sink()); err != nil {
			return errors.Join(err, partial.Close())
		}
		f.s.counters.fetched.Add(uint64(len(p.group)))
	}
	f.state.prove(size, source{partial: partial}, newPlan(blob.Groups(size), partial.Missing()), time.Now())
	return nil
}

// adopt reads the BLOB that somebody has put meanwhile.
func (f *fetch) adopt(size int64) error {
	b, err := f.s.store.Get(f.id)
	if err != nil {
		return err
	}
	f.state.prove(size, source{whole: b}, newPlan(blob.Groups(size), noRanges), time.Now())
	return nil
}

func noRanges(func(first, n uint64) bool) {}
