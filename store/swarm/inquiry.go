package swarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/staex-mcc/mcc/store/blob"
)

// inquiry asks seeders for the size of a BLOB, each once: a few at a time, and
// more the longer they keep silent. Only run touches it.
type inquiry struct {
	s       *Swarm
	id      blob.ID
	pool    *pool
	crew    *crew
	answers chan answer
	asking  int
	last    error
}

// answer is one seeder's.
type answer struct {
	from    *candidate
	reached bool
	size    int64
	err     error
}

func (s *Swarm) newInquiry(ctx context.Context, id blob.ID, found []Seeder) *inquiry {
	q := &inquiry{
		s: s, id: id, pool: newPool(s.self, s.past), crew: newCrew(ctx),
		answers: make(chan answer, maxDials),
	}
	_, dropped := q.pool.add(found)
	s.counters.dropped.Add(uint64(dropped))
	return q
}

// run returns the first size that is proven. It does not wait for seeders that
// may not be dialled now.
func (q *inquiry) run(ctx context.Context) (int64, error) {
	defer q.crew.end()
	if !q.pool.met() {
		return 0, ErrNotFound
	}
	tick := time.NewTicker(freshDial)
	defer tick.Stop()
	for allowed := startLinks; ; {
		q.ask(allowed, time.Now())
		if q.asking == 0 {
			return 0, unreachable(q.last)
		}
		select {
		case a := <-q.answers:
			if a.err == nil {
				return a.size, nil
			}
			q.judge(a)
		case <-tick.C:
			allowed = min(allowed+startLinks, maxDials)
		case <-ctx.Done():
			return 0, unreachable(q.last)
		}
	}
}

// ask starts as many as are allowed at a time.
func (q *inquiry) ask(allowed int, now time.Time) {
	for q.asking < allowed {
		c := q.pool.next(now)
		if c == nil || !q.pool.take(c, now) {
			return
		}
		at, limit, seeder := c.site, c.dialTime(), c.seeder()
		q.asking++
		q.crew.start(func(ctx context.Context) {
			defer q.s.past.end(at)
			a := answer{from: c}
			a.size, a.reached, a.err = q.askOne(ctx, seeder, limit)
			q.answers <- a
		})
	}
}

// judge takes a seeder that failed out of the pool.
func (q *inquiry) judge(a answer) {
	q.asking--
	q.last = a.err
	switch {
	case errors.Is(a.err, blob.ErrMismatch):
		q.pool.ban(a.from)
		q.s.counters.banned.Add(1)
		return
	case !a.reached:
		q.s.past.miss(a.from.Node)
	}
	q.pool.remove(a.from)
}

func (q *inquiry) askOne(ctx context.Context, seeder Seeder, limit time.Duration) (size int64, reached bool, err error) {
	dialCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := q.s.network.Dial(dialCtx, seeder, q.id)
	if err != nil {
		return 0, false, fmt.Errorf("dial %s: %w", seeder.Node, err)
	}
	defer conn.Close()
	defer interruptWith(ctx, conn)()
	size, err = readSize(ctx, conn)
	if err == nil {
		var p proof
		err = p.ask(ctx, conn, q.id, size)
	}
	if err != nil {
		return 0, true, fmt.Errorf("seeder %s: %w", seeder.Node, err)
	}
	q.s.past.praise(seeder.Node, siteOfConn(conn), time.Now())
	return size, true, nil
}
