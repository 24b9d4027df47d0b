package wsconn

import (
	"net"
	"sync"
	"time"
)

// gate is what both directions wait at: a lock, a condition, and a deadline.
type gate struct {
	mu      sync.Mutex
	changed sync.Cond

	timer  *time.Timer
	over   bool // the deadline has passed
	closed bool // by this side
}

func (g *gate) init() { g.changed.L = &g.mu }

// update changes the state and wakes who waits for it.
func (g *gate) update(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
	g.changed.Broadcast()
}

// setDeadline moves the deadline; the zero time is none.
func (g *gate) setDeadline(t time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return net.ErrClosed
	}
	g.stopTimer()
	wait := time.Until(t)
	g.over = !t.IsZero() && wait <= 0
	if !t.IsZero() && wait > 0 {
		g.startTimer(wait)
	}
	g.changed.Broadcast()
	return nil
}

// startTimer is called under mu, which is why the timer knows itself in time.
func (g *gate) startTimer(wait time.Duration) {
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		g.update(func() { g.over = g.over || g.timer == timer })
	})
	g.timer = timer
}

func (g *gate) stopTimer() {
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
}
