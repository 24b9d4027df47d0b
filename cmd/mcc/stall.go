package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// stall ends a transfer during which the node does nothing for a time. Waiting
// for the user's own input or output does not count.
type stall struct {
	limit time.Duration
	timer *time.Timer
	end   func() // frees what watches; the context is over then
}

// watchStall returns a context that ends when the node is silent for limit. The
// clock runs at first.
func watchStall(ctx context.Context, limit time.Duration) (context.Context, *stall) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &stall{limit: limit, end: func() { cancel(nil) }}
	s.timer = time.AfterFunc(limit, func() {
		cancel(fmt.Errorf("the node did nothing for %s (-timeout)", limit))
	})
	context.AfterFunc(ctx, s.pause)
	return ctx, s
}

// pause stops the clock, resume sets it to the whole limit again.
func (s *stall) pause()  { s.timer.Stop() }
func (s *stall) resume() { s.timer.Reset(s.limit) }

// sending is the reader of an upload: the clock runs while the node takes bytes,
// not while they are read. After the last one it stands still, since the node
// then waits for its disk.
type sending struct {
	from  io.Reader
	stall *stall
	shown *progress
}

func (s *sending) Read(b []byte) (int, error) {
	s.stall.pause()
	n, err := s.from.Read(b)
	if err == nil {
		s.stall.resume()
	}
	s.shown.add(n)
	return n, err
}

// receiving is the reader of a download: the clock runs while it waits for the
// node, not while the bytes are written.
type receiving struct {
	from  io.Reader
	stall *stall
	shown *progress
}

func (r *receiving) Read(b []byte) (int, error) {
	r.stall.resume()
	n, err := r.from.Read(b)
	r.stall.pause()
	r.shown.add(n)
	return n, err
}
