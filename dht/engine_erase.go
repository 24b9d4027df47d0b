package dht

import "time"

// Bounds of deletions (spec 6.6). What is no longer held has to leave the disk
// as well, however busy that is: so every deletion is awaited, and one that
// fails is made again.
const (
	// sweepSlice bounds the expired items forgotten in one go; the next go is
	// when they are off the disk.
	sweepSlice = 200
	// erasuresAtOnce bounds the deletions under way, so that they leave the
	// writers' queues to the puts.
	erasuresAtOnce = 128
	// erasePause is how long nothing is deleted after a deletion failed.
	erasePause = time.Second
)

// erasures is the work on itemStore.doomed.
type erasures struct {
	running  int
	sweeping bool // there may be more that expired
	paused   bool // a timer goes on
}

// sweep drops what expired.
func (e *Engine) sweep() {
	e.timers.set(e.now.Add(e.jitter(sweepInterval)), timerSweep, 0)
	e.leases.sweep(e.now)
	e.items.past.sweep(e.now)
	e.erasures.sweeping = true
	e.runErasures()
}

// erase has what was held under keys deleted, soon.
func (e *Engine) erase(keys ...Key) {
	e.items.doomed = append(e.items.doomed, keys...)
	e.runErasures()
}

// runErasures deletes what waits for it, as far as the bounds allow, and then
// looks for more that expired.
func (e *Engine) runErasures() {
	x := &e.erasures
	if x.paused {
		return
	}
	if x.sweeping && len(e.items.doomed) == 0 {
		e.items.doomed = e.items.sweep(e.now, sweepSlice)
		x.sweeping = len(e.items.doomed) == sweepSlice
	}
	for range len(e.items.doomed) {
		if x.running >= erasuresAtOnce {
			return
		}
		key := e.items.doomed[0]
		e.items.doomed = e.items.doomed[1:]
		switch {
		case e.items.byKey[key] != nil:
			// A new item has taken the place on disk.
		case e.items.newest[key] != nil:
			// One is about to, unless its write fails.
			e.items.doomed = append(e.items.doomed, key)
		default:
			x.running++
			e.write(key, nil, &write{erases: true})
		}
	}
}

// erased goes on after a deletion.
func (e *Engine) erased(key Key, err error) {
	x := &e.erasures
	x.running--
	if err != nil {
		e.stats.ErasuresFailed++
		e.items.doomed = append(e.items.doomed, key)
		if !x.paused {
			x.paused = true
			e.timers.set(e.now.Add(erasePause), timerErase, 0)
		}
	}
	e.runErasures()
}
