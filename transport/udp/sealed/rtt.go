package sealed

import "time"

// Bounds of how long to wait for an answer before asking again.
const (
	unknownTimeout = 500 * time.Millisecond
	minTimeout     = 100 * time.Millisecond
	maxTimeout     = time.Second
)

// roundTrip is the running estimate of RFC 6298. The zero value knows nothing.
type roundTrip struct {
	smooth, spread time.Duration
}

func (r *roundTrip) sample(d time.Duration) {
	d = max(d, time.Microsecond) // zero means unknown
	if r.smooth == 0 {
		r.smooth, r.spread = d, d/2
		return
	}
	r.spread = (3*r.spread + (r.smooth - d).Abs()) / 4
	r.smooth = (7*r.smooth + d) / 8
}

// timeout is how long to wait for the first sending of a request.
func (r *roundTrip) timeout() time.Duration {
	if r.smooth == 0 {
		return unknownTimeout
	}
	return min(max(r.smooth+4*r.spread, minTimeout), maxTimeout)
}
