package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/staex-mcc/mcc/store/blob"
)

const (
	dialTimeout = 10 * time.Second
	// strangerTimeout bounds the first dial to a seeder that is new.
	strangerTimeout = 2 * time.Second
	// silence is how long a seeder that owes something may send nothing, and
	// groupTime how long it may go without a whole group.
	silence   = 5 * time.Second
	groupTime = 10 * time.Second
	// idleLink is how long a connection is kept with nothing to ask for.
	idleLink = time.Minute
	// stealEvery is how often a link without work looks whether others are slow.
	stealEvery = 100 * time.Millisecond
	// topUpGroups is after how many groups of a unit more may be asked for.
	topUpGroups = 8
)

var (
	// errIdle ends a link that has had nothing to do for a while.
	errIdle = errors.New("nothing to ask for")
	// errSlow ends a link to a seeder when others are quicker.
	errSlow = errors.New("slower than other seeders")
)

// link is a connection to one seeder and the goroutine that works it: ask, then
// receive what was asked for first, and so on.
type link struct {
	f    *fetch
	work chan struct{} // one slot: there may be something to do

	// Under the fetch's lock.
	from    *candidate // but for its Seeder's Node
	line    line
	site    netip.Prefix // an end of the dial is owed there, unless it is up
	up      bool         // it has said the size, and proven it if it was not known
	slow    bool         // far slower than others
	left    bool         // leave was called
	praised bool         // it has delivered

	ctx       context.Context // ends with leave
	leave     context.CancelCauseFunc
	started   time.Time
	dialTime  time.Duration
	seeder    Seeder
	conn      net.Conn
	lastGroup time.Time
	diskErr   error // the store's, not the seeder's
}

// newLink is under the fetch's lock, but in run's goroutine, which owns links.
func newLink(f *fetch, c *candidate, now time.Time) *link {
	l := &link{
		f: f, from: c, line: newLine(), work: make(chan struct{}, 1),
		site: c.site, started: now, dialTime: c.dialTime(), seeder: c.seeder(),
	}
	l.ctx, l.leave = context.WithCancelCause(f.links.ctx)
	return l
}

// run is the link's goroutine.
func (l *link) run(context.Context) {
	defer l.leave(nil)
	err := l.serve(l.ctx)
	if context.Cause(l.ctx) == errSlow && !errors.Is(err, blob.ErrMismatch) { //nolint:errorlint // as leave was given it
		err = errSlow
	}
	if l.diskErr != nil {
		l.f.fail(l.diskErr)
	}
	l.f.judge(l, fmt.Errorf("seeder %s: %w", l.seeder.Node, err))
}

func (l *link) serve(ctx context.Context) error {
	conn, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer l.hangUp(conn)
	defer interruptWith(ctx, conn)()
	l.conn = conn
	size, err := l.introduce(ctx)
	if err != nil {
		return err
	}
	l.f.state.arrived(l)
	for {
		if err := l.ask(ctx, l.f.state.assign(l, time.Now())); err != nil {
			return err
		}
		part, any := l.f.state.head(l)
		if any {
			err = l.receive(ctx, size, part)
		} else {
			err = l.idle(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// hangUp ends the stream in order if the seeder owes nothing.
func (l *link) hangUp(conn net.Conn) {
	if _, any := l.f.state.head(l); any {
		reset(conn)
		return
	}
	conn.Close()
}

func (l *link) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.dialTime)
	defer cancel()
	conn, err := l.f.s.network.Dial(ctx, l.seeder, l.f.id)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	return conn, nil
}

// introduce takes the seeder's claim of the size and sees that it is true.
func (l *link) introduce(ctx context.Context) (int64, error) {
	size, err := readSize(ctx, l.conn)
	if err != nil {
		return 0, err
	}
	if known := l.f.state.provenSize(); known >= 0 {
		return size, sameSize(size, known)
	}
	var p proof
	if err := p.ask(ctx, l.conn, l.f.id, size); err != nil {
		return 0, err
	}
	l.f.state.praise(l, time.Now())
	return size, l.f.prove(ctx, l, size, &p)
}

func sameSize(claimed, known int64) error {
	if claimed != known {
		return fmt.Errorf("%w: claims %d bytes, it has %d", blob.ErrMismatch, claimed, known)
	}
	return nil
}

// ask sends requests. The seeder takes them while it sends, so this does not
// wait for answers.
func (l *link) ask(ctx context.Context, batch []slice) error {
	if len(batch) == 0 {
		return nil
	}
	var b []byte
	for _, part := range batch {
		b = appendRequest(b, part)
	}
	_, err := timedWriter{ctx, l.conn, silence}.Write(b)
	return err
}

func (l *link) receive(ctx context.Context, size int64, part slice) error {
	l.lastGroup = time.Now()
	r := timedReader{ctx, l.conn, silence, func() time.Time { return l.lastGroup.Add(groupTime) }}
	to := landing{ctx: ctx, l: l, from: l.f.state.source()}
	if err := blob.ReadSlice(r, l.f.id, size, part.first, part.n, to); err != nil {
		return err
	}
	l.f.state.received(l, time.Now())
	if l.f.state.complete() {
		l.f.poke()
	}
	return nil
}

// idle waits for work.
func (l *link) idle(ctx context.Context) error {
	if l.f.state.complete() {
		l.f.poke()
	}
	limit, result := idleLink, errIdle
	if l.f.state.busy() {
		limit, result = stealEvery, nil
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-l.work:
		return nil
	case <-timer.C:
		return result
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// readSize reads what a seeder says first.
func readSize(ctx context.Context, conn net.Conn) (int64, error) {
	var b [sizeLen]byte
	end := time.Now().Add(silence)
	r := timedReader{ctx, conn, silence, func() time.Time { return end }}
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, fmt.Errorf("read size: %w", err)
	}
	return decodeSize(b)
}

// landing is the sink of a link. It runs in the link's goroutine.
// Links end before the partial BLOB is closed.
type landing struct {
	ctx  context.Context
	l    *link
	from source
}

func (d landing) Node(pos uint64, node *[64]byte) error {
	return d.noteDisk(d.from.partial.Sink().Node(pos, node))
}

func (d landing) Group(index uint64, data []byte) error {
	f := d.l.f
	if d.from.has(index) {
		f.s.counters.duplicate.Add(uint64(len(data)))
	} else if err := d.noteDisk(d.from.partial.Sink().Group(index, data)); err != nil {
		return err
	} else {
		f.s.counters.fetched.Add(uint64(len(data)))
	}
	now := time.Now() // after the disk, whose time is not the seeder's
	d.l.lastGroup = now
	f.state.landed(d.l, index, len(data), now)
	if index%topUpGroups == 0 {
		return d.l.ask(d.ctx, f.state.assign(d.l, now))
	}
	return nil
}

func (d landing) noteDisk(err error) error {
	if err != nil {
		d.l.diskErr = fmt.Errorf("keep group: %w", err)
	}
	return err
}
