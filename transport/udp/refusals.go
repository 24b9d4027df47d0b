package udp

import (
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"
)

// A peer decides how often it comes back with a bad certificate, so the log
// hears of it once a minute for each address, and of no more addresses a minute
// than the cache holds.
const (
	refusalEvery = time.Minute
	refusalSize  = 1024
)

// refusals logs peers whose certificate was refused.
type refusals struct {
	log    *zap.Logger
	counts *counts
	last   *lru.Cache[netip.Addr, time.Time]
}

func newRefusals(log *zap.Logger, c *counts) *refusals {
	last, err := lru.New[netip.Addr, time.Time](refusalSize)
	if err != nil {
		panic("BUG: " + err.Error()) // only for a size below 1
	}
	return &refusals{log: log, counts: c, last: last}
}

// note counts a refusal and logs it if its address was not heard of lately.
func (r *refusals) note(from netip.AddrPort, err error, now time.Time) {
	r.counts.certsRefused.Add(1)
	if at, ok := r.last.Get(from.Addr()); ok && now.Sub(at) < refusalEvery {
		return
	}
	r.last.Add(from.Addr(), now)
	r.log.Warn("certificate of a peer refused", zap.Stringer("addr", from), zap.Error(err))
}
