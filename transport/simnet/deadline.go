package simnet

import (
	"sync"
	"time"
)

// deadline turns a moment into a channel that closes at it. Moving the moment
// reaches the readers that wait already.
type deadline struct {
	mu     sync.Mutex
	passed chan struct{}
	is     bool // passed is closed
	timer  *time.Timer
	turn   uint64 // a timer of an earlier turn has no say
}

func newDeadline() *deadline { return &deadline{passed: make(chan struct{})} }

// set moves the deadline; the zero time is none.
func (d *deadline) set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turn++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	left := time.Until(at)
	if !at.IsZero() && left <= 0 {
		d.pass()
		return
	}
	if d.is {
		d.passed, d.is = make(chan struct{}), false
	}
	if !at.IsZero() {
		turn := d.turn
		d.timer = time.AfterFunc(left, func() { d.ring(turn) })
	}
}

func (d *deadline) ring(turn uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.turn == turn {
		d.pass()
	}
}

// pass closes the channel. d.mu is held.
func (d *deadline) pass() {
	if !d.is {
		close(d.passed)
		d.is = true
	}
}

// done is closed once the deadline is over.
func (d *deadline) done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

// over reports whether the deadline has passed.
func (d *deadline) over() bool {
	select {
	case <-d.done():
		return true
	default:
		return false
	}
}
