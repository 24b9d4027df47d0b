package dht

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"
)

// Bounds of the goroutines and queues round an engine.
const (
	// inboxSize bounds the events that wait; when it is full, peers' requests
	// are ErrBusy and everybody else waits.
	inboxSize = 1024
	// maxSends bounds the requests carried at a time, maxBacklog those that
	// wait; past it a request fails without blame for the contact.
	maxSends   = 256
	maxBacklog = 4096
	// maxStreams bounds those over streams, which may hold 64 KiB each and do
	// not keep the others waiting; maxLarge bounds the peers' requests over
	// streams at work; further ones are ErrBusy. maxLargePuts bounds this
	// node's own puts of large values; further ones wait.
	maxStreams   = 32
	maxLarge     = 32
	maxLargePuts = 8
	// sendLimit ends a request that the Sender does not end.
	sendLimit = 10 * time.Second
	// writers is the number of goroutines that write to the store, writeQueue
	// how many writes wait for each; past it a put is refused.
	writers    = 4
	writeQueue = 256
	// maxVerifying bounds the signatures being checked at a time; further
	// requests wait.
	maxVerifying = 16
	// verifiedSize bounds the memory of signatures found good.
	verifiedSize = 8192
	// maxAlpha is the largest Env.Alpha.
	maxAlpha = 64
)

// Kademlia is the DHT of one node: an [Engine], the goroutine that owns it, and
// bounded workers that carry its messages, check signatures and write to the
// store. It fulfils [DHT].
type Kademlia struct {
	env      Env
	log      *zap.Logger
	verified *lru.Cache[Key, struct{}] // hashes of what bears a good signature
	checking chan struct{}             // one element for each signature being checked
	large    chan struct{}             // one for each request over a stream at work
	putting  chan struct{}             // one for each own put of a large value
	inbox    chan input
	writes   [writers]chan writeJob
	lastID   atomic.Uint64
	busy     atomic.Uint64 // requests refused for a full inbox
	ctx      context.Context
	stop     context.CancelFunc
	wg       sync.WaitGroup

	// owned by run
	engine  *Engine
	results map[uint64]chan<- Result
	calls   map[uint64]chan<- Response
	lanes   [lanes]lane
	again   []Event // to be stepped before anything else
	changed bool    // the table, since the contacts were saved
	saveAt  time.Time
}

// input is an event and where its outcome goes.
type input struct {
	event    Event
	result   chan<- Result   // of Asked, capacity 1
	response chan<- Response // of Received, capacity 1
	stats    chan<- Stats    // without event, capacity 1
	lane     int             // of Answered and Failed
}

// Requests wait in one of two lanes, so that streams hold up no datagram.
const (
	laneCalls = iota
	laneStreams
	lanes
)

// lane is the requests under way and those that wait.
type lane struct {
	sending int
	backlog []Send
}

func laneOf(s Send) int {
	if s.Stream {
		return laneStreams
	}
	return laneCalls
}

var _ DHT = (*Kademlia)(nil)

// New starts the DHT of one node with the contacts and records that its store
// holds. It fails if the store does, or if Env is incomplete.
func New(env Env) (*Kademlia, error) {
	if env.Identity == nil || env.Sender == nil || env.Store == nil {
		return nil, errors.New("dht: Identity, Sender and Store are required")
	}
	if env.Alpha < 0 || env.Alpha > maxAlpha {
		return nil, fmt.Errorf("dht: alpha %d is not within 1 to %d", env.Alpha, maxAlpha)
	}
	if env.Logger == nil {
		env.Logger = zap.NewNop()
	}
	verified, err := lru.New[Key, struct{}](verifiedSize)
	if err != nil {
		return nil, fmt.Errorf("dht: %w", err)
	}
	k := &Kademlia{
		env: env, log: env.Logger.Named("dht"), verified: verified,
		checking: make(chan struct{}, maxVerifying),
		large:    make(chan struct{}, maxLarge), putting: make(chan struct{}, maxLargePuts),
		inbox:   make(chan input, inboxSize),
		results: map[uint64]chan<- Result{}, calls: map[uint64]chan<- Response{},
	}
	now := time.Now()
	cfg, err := k.load()
	if err != nil {
		return nil, fmt.Errorf("dht: %w", err)
	}
	k.engine = NewEngine(cfg, now)
	k.saveAt = now.Add(firstSave)
	k.ctx, k.stop = context.WithCancel(context.Background())
	for i := range k.writes {
		k.writes[i] = make(chan writeJob, writeQueue)
		k.wg.Go(func() { k.write(k.writes[i]) })
	}
	k.wg.Go(k.run) // it may write at once
	return k, nil
}

// newRand seeds an engine's choices; nothing secret comes from it.
func newRand() *rand.Rand {
	var seed [32]byte
	crand.Read(seed[:]) // never fails: it crashes the program instead
	return rand.New(rand.NewChaCha8(seed))
}

// Close stops all work and waits for it; see DHT.
func (k *Kademlia) Close() error {
	k.stop()
	k.wg.Wait()
	return nil
}

// run owns the engine: it is the only one to step it and to look at the clock
// for it.
func (k *Kademlia) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var in input
		select {
		case <-k.ctx.Done():
			k.saveContacts()
			return
		case in = <-k.inbox:
		case <-timer.C:
			in.event = Tick{}
		}
		now := time.Now()
		k.accept(now, in)
		for len(k.again) > 0 {
			ev := k.again[0]
			k.again = k.again[1:]
			k.step(now, ev)
		}
		if k.changed && !now.Before(k.saveAt) {
			k.queueContacts(now)
		}
		timer.Reset(time.Until(k.deadline()))
	}
}

func (k *Kademlia) deadline() time.Time {
	next := k.engine.NextDeadline()
	if k.changed && k.saveAt.Before(next) {
		return k.saveAt
	}
	return next
}

// accept notes who waits for the outcome and steps.
func (k *Kademlia) accept(now time.Time, in input) {
	switch ev := in.event.(type) {
	case nil:
		in.stats <- k.engine.Stats()
		return
	case Asked:
		k.results[ev.Op] = in.result
	case Cancelled:
		delete(k.results, ev.Op)
	case Received:
		k.calls[ev.Call] = in.response
	case Answered, Failed:
		k.lanes[in.lane].sending--
		k.sendNext(in.lane)
	}
	k.step(now, in.event)
}

// step carries out what the engine says, without waiting for anything.
func (k *Kademlia) step(now time.Time, ev Event) {
	act := k.engine.Step(now, ev)
	for _, s := range act.Sends {
		k.startSend(s)
	}
	for _, w := range act.Writes {
		k.startWrite(w)
	}
	for _, r := range act.Responses {
		if to := k.calls[r.Call]; to != nil {
			delete(k.calls, r.Call)
			to <- r
		}
	}
	for _, r := range act.Results {
		if to := k.results[r.Op]; to != nil {
			delete(k.results, r.Op)
			to <- r
		}
	}
	k.noteTable(act)
}

func (k *Kademlia) noteTable(act *Actions) {
	for _, c := range act.Seated {
		k.log.Debug("contact seated", zap.Stringer("peer", c.ID), zap.Stringer("addr", c.Addr))
	}
	for _, c := range act.Left {
		k.log.Debug("contact dropped", zap.Stringer("peer", c.ID), zap.Stringer("addr", c.Addr))
	}
	k.changed = k.changed || len(act.Seated)+len(act.Left) > 0
}

// startSend carries a request in a goroutine of its own, now or when one of
// those under way ends.
func (k *Kademlia) startSend(s Send) {
	l := &k.lanes[laneOf(s)]
	most := maxSends
	if s.Stream {
		most = maxStreams
	}
	switch {
	case l.sending < most:
		l.sending++
		k.wg.Go(func() { k.carry(s) })
	case len(l.backlog) < maxBacklog:
		l.backlog = append(l.backlog, s)
	default:
		k.again = append(k.again, Failed{Send: s.ID, Here: true})
	}
}

// sendNext starts the request that waited longest in a lane where one ended.
func (k *Kademlia) sendNext(in int) {
	if l := &k.lanes[in]; len(l.backlog) > 0 {
		s := l.backlog[0]
		l.backlog = l.backlog[1:]
		k.startSend(s)
	}
}

// post hands the engine an event, waiting while the inbox is full. It reports
// whether the DHT was open.
func (k *Kademlia) post(in input) bool {
	select {
	case k.inbox <- in:
		return true
	case <-k.ctx.Done():
		return false
	}
}
