package udp

import (
	"context"
	"fmt"
	"time"

	"github.com/staex-mcc/mcc/transport"
	"github.com/staex-mcc/mcc/transport/udp/mux"
	"github.com/staex-mcc/mcc/transport/udp/sealed"
)

// Queues round the run loop of calls.
const (
	maxCommands = 1024 // calls wait for a place, answers past it are dropped
	maxRequests = 1024 // that AcceptCall has not returned yet; newest dropped
	burst       = 64   // packets taken between two looks at the commands
)

// calls drives the sealed.Endpoint. run owns it; everybody else sends commands.
type calls struct {
	mux      *mux.Mux
	counts   *counts
	refusals *refusals
	commands chan command
	requests chan *incoming
	stopped  chan struct{} // run has returned

	// owned by run
	endpoint *sealed.Endpoint
	actions  sealed.Actions
	waiting  map[sealed.CallID]*ask

	names []string // of the endpoint's counters
}

// command is one thing asked of run; exactly one field is set.
type command struct {
	ask    *ask
	cancel *ask
	answer *answer
	look   chan<- view
}

// ask is a call on its way.
type ask struct {
	to      transport.Contact
	req     transport.Request
	timeout time.Duration
	reply   chan sealed.Result // holds one

	id sealed.CallID // owned by run
}

// answer is an answer on its way.
type answer struct {
	ticket sealed.Ticket
	data   []byte
}

// view is a copy of what the endpoint knows.
type view struct {
	peers    []transport.PeerState
	counters []transport.Counter
}

func newCalls(cfg transport.Config, m *mux.Mux, c *counts, r *refusals) (*calls, error) {
	endpoint, err := sealed.New(sealed.Config{
		Identity: cfg.Identity,
		Trust:    cfg.Trust,
		Label:    cfg.Identity.Certificate().Label(),
	})
	if err != nil {
		return nil, err
	}
	l := &calls{
		mux:      m,
		counts:   c,
		refusals: r,
		commands: make(chan command, maxCommands),
		requests: make(chan *incoming, maxRequests),
		stopped:  make(chan struct{}),
		endpoint: endpoint,
		waiting:  make(map[sealed.CallID]*ask),
	}
	for _, c := range endpoint.Counters() {
		l.names = append(l.names, "calls_"+c.Name)
	}
	return l, nil
}

// run is the goroutine that owns the endpoint. It ends with ctx.
func (l *calls) run(ctx context.Context) {
	defer close(l.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case p := <-l.mux.Packets():
			l.receive(p)
		case c := <-l.commands:
			l.obey(c)
		case <-timer.C:
			l.endpoint.Tick(time.Now(), &l.actions)
		case <-ctx.Done():
			l.endpoint.Close(time.Now(), &l.actions)
			l.carryOut()
			return
		}
		l.carryOut()
		l.arm(timer)
	}
}

// arm sets the timer to the endpoint's next deadline.
func (l *calls) arm(timer *time.Timer) {
	if at := l.endpoint.NextDeadline(); at.IsZero() {
		timer.Stop()
	} else {
		timer.Reset(time.Until(at))
	}
}

// receive takes a packet and those that came with it.
func (l *calls) receive(p mux.Packet) {
	for n := 1; ; n++ {
		l.endpoint.Receive(time.Now(), p.From, p.Data, &l.actions)
		p.Free()
		if n == burst {
			return
		}
		select {
		case p = <-l.mux.Packets():
			l.carryOut()
		default:
			return
		}
	}
}

func (l *calls) obey(c command) {
	now := time.Now()
	switch {
	case c.ask != nil:
		l.call(now, c.ask)
	case c.cancel != nil:
		if l.waiting[c.cancel.id] == c.cancel {
			delete(l.waiting, c.cancel.id)
			l.endpoint.Cancel(c.cancel.id)
		}
	case c.answer != nil:
		// Its length was checked, and a ticket that lapsed is no error.
		_ = l.endpoint.Answer(now, c.answer.ticket, c.answer.data, &l.actions)
	case c.look != nil:
		c.look <- view{l.endpoint.Peers(), l.endpoint.Counters()}
	}
}

func (l *calls) call(now time.Time, a *ask) {
	id, err := l.endpoint.Call(now, a.to, a.req, a.timeout, &l.actions)
	if err != nil {
		a.reply <- sealed.Result{Err: err}
		return
	}
	a.id = id
	l.waiting[id] = a
}

// carryOut does what the endpoint wants done.
func (l *calls) carryOut() {
	for _, s := range l.actions.Sends {
		l.mux.Send(s.To, s.Data)
	}
	for _, r := range l.actions.Results {
		if a, ok := l.waiting[r.ID]; ok {
			delete(l.waiting, r.ID)
			a.reply <- r
		}
	}
	for _, r := range l.actions.Requests {
		select {
		case l.requests <- &incoming{l: l, req: r}:
		default:
			l.counts.requestsDropped.Add(1)
		}
	}
	for _, r := range l.actions.Refused {
		l.refusals.note(r.Addr, fmt.Errorf("%s: %w", r.ID, r.Err), time.Now())
	}
	l.actions.Reset()
}

// look asks run for a copy of what the endpoint knows; after Close it is empty.
func (l *calls) look() view {
	reply := make(chan view, 1)
	if l.tell(context.Background(), command{look: reply}) != nil {
		return view{}
	}
	select {
	case v := <-reply:
		return v
	case <-l.stopped:
		return view{}
	}
}

func (l *calls) peers() []transport.PeerState { return l.look().peers }

// counters are the endpoint's; after Close their names remain, with zeros.
func (l *calls) counters() []transport.Counter {
	have := l.look().counters
	list := make([]transport.Counter, len(l.names))
	for i, name := range l.names {
		list[i].Name = name
		if i < len(have) {
			list[i].Value = have[i].Value
		}
	}
	return list
}
