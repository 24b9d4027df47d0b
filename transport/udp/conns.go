package udp

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport/udp/mux"
)

// maxPerPeer bounds the connections of one peer. Two live ones are normal for a
// while, when both sides dial at once or a peer comes back from a crash.
const maxPerPeer = 4

var errTableFull = errors.New("too many connections")

// conn is a QUIC connection to a verified peer.
type conn struct {
	qc   *quic.Conn
	peer *identity.Peer

	// owned by the table, under its lock
	streams   int // open streams and offers, in either direction
	waiting   int // of those, offers without a decision
	idleSince time.Time
	lastClose time.Time // when a stream was closed here last
	shunned   time.Time // new streams go elsewhere until then; zero: come
	packets   uint64    // received, when lastSeen was moved
	lastSeen  time.Time
}

func (c *conn) addr() netip.AddrPort { return mux.AddrPort(c.qc.RemoteAddr()) }

// table holds the live QUIC connections, newest last, by peer. New streams take
// the newest connection: an older one may belong to a program that is gone. They
// keep off those that are shunned.
// When it is full, the connection idle for longest makes room.
type table struct {
	limit int

	mu      sync.Mutex
	peers   map[identity.ID][]*conn
	n       int
	waiting int // offers without a decision, of all peers
	shut    bool
}

func newTable(limit int) *table {
	return &table{limit: limit, peers: make(map[identity.ID][]*conn)}
}

// add enters a connection, and returns the idle one that had to leave for it.
// The new connection holds one stream, which release gives back, so that it is
// not idle before its first user has it.
func (t *table) add(c *conn, now time.Time) (evicted *conn, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shut {
		return nil, errTableFull
	}
	c.streams, c.lastSeen = 1, now
	mine := t.peers[c.peer.ID]
	switch {
	case len(mine) >= maxPerPeer:
		evicted = longestIdle(nil, mine)
	case t.n >= t.limit:
		for _, list := range t.peers {
			evicted = longestIdle(evicted, list)
		}
	default:
		t.enter(c)
		return nil, nil
	}
	if evicted == nil {
		return nil, errTableFull
	}
	t.leave(evicted)
	t.enter(c)
	return evicted, nil
}

// longestIdle is best or the connection of list that has been without a stream
// for longer.
func longestIdle(best *conn, list []*conn) *conn {
	for _, c := range list {
		if c.streams == 0 && (best == nil || c.idleSince.Before(best.idleSince)) {
			best = c
		}
	}
	return best
}

func (t *table) enter(c *conn) {
	t.peers[c.peer.ID] = append(t.peers[c.peer.ID], c)
	t.n++
}

func (t *table) leave(c *conn) {
	list := t.peers[c.peer.ID]
	i := slices.Index(list, c)
	if i < 0 {
		return
	}
	t.n--
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(t.peers, c.peer.ID)
		return
	}
	t.peers[c.peer.ID] = list
}

// remove takes out a connection that has ended.
func (t *table) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leave(c)
}

// acquire returns the newest live connection to a peer and counts a stream on
// it, to be given back with release. It prefers one that ends at addr. A shunned
// one is taken only if there are no others and it is time to try it again.
func (t *table) acquire(id identity.ID, addr netip.AddrPort, now time.Time) (c *conn, at bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var again *conn
	for _, have := range slices.Backward(t.peers[id]) {
		if have.qc.Context().Err() != nil {
			continue
		}
		if !have.shunned.IsZero() {
			if again == nil && !now.Before(have.shunned) {
				again = have
			}
			continue
		}
		if have.addr() == addr {
			c, at = have, true
			break
		}
		if c == nil {
			c = have
		}
	}
	if c == nil && again != nil {
		again.shunned = time.Time{}
		c, at = again, again.addr() == addr
	}
	if c != nil {
		c.streams++
	}
	return c, at
}

// use counts a stream on a connection, to be given back with release.
func (t *table) use(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.streams++
}

// hold counts an incoming stream. It reports whether the stream may be offered:
// not if the peer, or all peers together, have too many offers that nobody
// decided. Such a stream is to be refused, and counts all the same.
func (t *table) hold(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.streams++
	mine := 0
	for _, other := range t.peers[c.peer.ID] {
		mine += other.waiting
	}
	if mine >= maxUndecidedPerPeer || t.waiting >= maxUndecided {
		return false
	}
	c.waiting++
	t.waiting++
	return true
}

// decided ends the waiting of an offer that hold admitted.
func (t *table) decided(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.waiting--
	t.waiting--
}

// release gives a stream back; closed tells that it may have bytes on the way.
func (t *table) release(c *conn, now time.Time, closed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.streams--; c.streams == 0 {
		c.idleSince = now
	}
	if closed {
		c.lastClose = now
		if now.Before(c.shunned) {
			c.shunned = now // there may be room again
		}
	}
}

// expired takes out the connections to be closed: idle for longer than idle,
// and those whose peer's certificate has run out.
func (t *table) expired(now time.Time, idle time.Duration) (unused, untrusted []*conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, list := range t.peers {
		for _, c := range list {
			c.look(now)
			if end := c.peer.NotAfter; !end.IsZero() && now.After(end) {
				untrusted = append(untrusted, c)
			} else if c.streams == 0 && now.Sub(c.idleSince) >= idle {
				unused = append(unused, c)
			}
		}
	}
	for _, c := range slices.Concat(unused, untrusted) {
		t.leave(c)
	}
	return unused, untrusted
}

// look notes whether the peer was heard since the last look.
func (c *conn) look(now time.Time) {
	if n := c.qc.ConnectionStats().PacketsReceived; n != c.packets {
		c.packets, c.lastSeen = n, now
	}
}

// seen is a connection as Peers reports it.
type seen struct {
	*conn
	at time.Time
}

// newest returns one connection of each peer, the newest.
func (t *table) newest(now time.Time) []seen {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]seen, 0, len(t.peers))
	for _, conns := range t.peers {
		c := conns[len(conns)-1]
		c.look(now)
		list = append(list, seen{c, c.lastSeen})
	}
	return list
}

// shutdown refuses further connections and returns those there are. recent are
// the ones on which a stream was closed after since.
func (t *table) shutdown(since time.Time) (all, recent []*conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shut = true
	for _, list := range t.peers {
		all = append(all, list...)
		for _, c := range list {
			if c.lastClose.After(since) {
				recent = append(recent, c)
			}
		}
	}
	return all, recent
}
