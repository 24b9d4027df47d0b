package swarm

import (
	"context"
	"sync"
)

// crew is goroutines that end together.
type crew struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex
	ended bool
	wg    sync.WaitGroup
}

func newCrew(ctx context.Context) *crew {
	c := new(crew)
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c
}

// start runs a goroutine, unless the crew has ended.
func (c *crew) start(work func(context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.wg.Go(func() { work(c.ctx) })
	}
}

// end cancels all and waits. It may be called again.
func (c *crew) end() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
}
