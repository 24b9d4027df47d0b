package sealed

import (
	"fmt"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/transport"
)

// Calls of this node.

const (
	defaultCallTimeout = 5 * time.Second
	maxCallTimeout     = 60 * time.Second
	// maxUnproven is how many sendings may stay unanswered before the session
	// itself is doubted.
	maxUnproven = 2
)

// call is one request of this node that waits for its answer.
type call struct {
	timer
	id         CallID
	to         transport.Contact
	data       []byte
	idempotent bool
	deadline   time.Time
	peer       *peer      // nil while the contact's id is unknown
	wait       *handshake // nil once it is in peer.calls
	via        *session   // last sent on; nil if never
	tries      int        // sendings so far
	first      time.Time  // sending
	last       time.Time  // sending
}

// earlyAnswer came with the RESP and waits until the responder is authorised.
type earlyAnswer struct {
	call   *call
	answer transport.Answer
}

// Call starts a call to a peer. The Result comes in the Actions of a later
// method, or of this one, exactly once unless Cancel comes first; it is at
// hand after timeout at the latest (zero is 5 s, the longest is 60 s) if Tick
// is called in time. An idempotent request of at most MaxEarlyRequest bytes
// rides the first message to a stranger.
//
// Errors are transport.ErrTooLong, transport.ErrClosed, ErrBusy and ErrSelf, or
// say that the contact or the own key cannot be used; then there is no Result.
// Call does not keep req.Data.
func (e *Endpoint) Call(now time.Time, to transport.Contact, req transport.Request, timeout time.Duration, out *Actions) (CallID, error) {
	p, err := e.checkCall(&to, req)
	if err != nil {
		return 0, err
	}
	if timeout <= 0 {
		timeout = defaultCallTimeout
	}
	e.lastCall++
	c := &call{
		id: e.lastCall, to: to, data: slices.Clone(req.Data), idempotent: req.Idempotent,
		deadline: now.Add(min(timeout, maxCallTimeout)), peer: p,
	}
	e.calls[c.id] = c
	if err := e.route(now, c, mac{}, out); err != nil {
		e.unlink(c)
		return 0, err
	}
	e.counts[callsSent]++
	return c.id, nil
}

// checkCall refuses what cannot become a call and finds the peer.
func (e *Endpoint) checkCall(to *transport.Contact, req transport.Request) (*peer, error) {
	to.Addr = unmap(to.Addr)
	switch {
	case e.closed:
		return nil, transport.ErrClosed
	case len(req.Data) > transport.MaxRequest:
		return nil, fmt.Errorf("request of %d bytes, at most %d: %w", len(req.Data), transport.MaxRequest, transport.ErrTooLong)
	case len(e.calls) >= e.cfg.MaxCalls:
		return nil, ErrBusy
	case to.ID == e.cfg.Identity.ID():
		return nil, ErrSelf
	case to.ID.IsZero():
		return nil, checkAddr(to)
	}
	if p := e.peers[to.ID]; p != nil {
		return p, nil
	}
	if err := checkAddr(to); err != nil {
		return nil, err
	}
	key, err := to.ID.X25519()
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", to, err)
	}
	return e.peerOf(to.ID, key), nil
}

func checkAddr(to *transport.Contact) error {
	if !to.Addr.IsValid() || to.Addr.Port() == 0 {
		return fmt.Errorf("call %s: no address to send to", to)
	}
	return nil
}

// route sends a call on the session there is, or has it wait for one.
func (e *Endpoint) route(now time.Time, c *call, cookie mac, out *Actions) error {
	p := c.peer
	switch {
	case p != nil && p.current.usable(now):
		p.calls = append(p.calls, c)
		e.transmit(now, c, p.current, out)
		return nil
	case p != nil && p.pending != nil:
		if len(p.calls) >= maxWaiting {
			return ErrBusy
		}
		p.calls = append(p.calls, c)
		e.schedule.set(c, c.deadline)
		return nil
	}
	if err := checkAddr(&c.to); err != nil {
		return err
	}
	return e.seek(now, c, cookie, out)
}

// transmit sends a call's request on s and plans the repetition.
func (e *Endpoint) transmit(now time.Time, c *call, s *session, out *Actions) {
	if c.tries == 0 {
		c.first = now
	} else {
		e.counts[callsRepeated]++
	}
	e.sendFrame(s, frame{
		kind: frameRequest, try: uint8(min(c.tries, maxTry)), idempotent: c.idempotent,
		number: uint64(c.id), data: c.data,
	}, out)
	c.tries++
	c.last, c.via = now, s
	e.await(now, c)
	e.renew(now, s, out)
}

// await plans the next look at a call: when it should be answered by now, twice
// as long after each sending, or when its time is up.
func (e *Endpoint) await(now time.Time, c *call) {
	wait := c.peer.rtt.timeout()
	for range c.tries - 1 {
		wait = min(2*wait, maxTimeout)
	}
	at := now.Add(e.jitter(wait))
	if c.deadline.Before(at) {
		at = c.deadline
	}
	e.schedule.set(c, at)
}

// wake repeats a call, or gives it up.
func (c *call) wake(e *Endpoint, now time.Time, out *Actions) {
	p := c.peer
	switch {
	case !now.Before(c.deadline):
		e.counts[callsUnanswered]++
		e.finish(c, Result{Err: transport.ErrNoAnswer}, out)
	case c.wait != nil:
		e.schedule.set(c, c.deadline)
	case p.current.usable(now):
		if c.tries >= maxUnproven && p.current.silentSince(c.first) {
			e.doubt(now, c, p.current, out)
		}
		e.transmit(now, c, p.current, out)
	case p.pending != nil:
		e.schedule.set(c, c.deadline)
	default:
		e.reroute(now, c, out)
	}
}

// reroute finds another way for a call whose session is gone.
func (e *Endpoint) reroute(now time.Time, c *call, out *Actions) {
	p := c.peer
	p.calls = without(p.calls, c)
	if err := e.route(now, c, mac{}, out); err != nil {
		e.finish(c, Result{Err: err}, out)
	}
	e.forget(p)
}

// doubt begins a new handshake beside a session on which nothing comes back:
// the peer may have been restarted, or have moved to where the contact says.
func (e *Endpoint) doubt(now time.Time, c *call, s *session, out *Actions) {
	e.counts[recoveries]++
	e.background(now, c.peer, s.addr, out)
	if c.to.Addr != s.addr && checkAddr(&c.to) == nil {
		e.background(now, c.peer, c.to.Addr, out)
	}
}

// renew begins a handshake if the keys of s are due for replacement.
func (e *Endpoint) renew(now time.Time, s *session, out *Actions) {
	if now.Before(s.rekeyAt) || !s.retireAt.IsZero() {
		return
	}
	e.counts[rekeys]++
	s.rekeyAt = now.Add(rekeyRetry)
	e.background(now, s.peer, s.addr, out)
}

// flush brings all calls of a peer to its current session, when a new one has
// been adopted.
func (e *Endpoint) flush(now time.Time, p *peer, out *Actions) {
	for len(p.handshakes) > 0 {
		h := p.handshakes[0]
		for _, c := range h.calls {
			c.wait = nil
			p.calls = append(p.calls, c)
		}
		h.calls = nil
		e.abandon(h)
	}
	for _, c := range p.calls {
		if c.tries == 0 || (c.via != p.current && c.via.silentSince(c.first)) {
			e.transmit(now, c, p.current, out)
		} else {
			e.await(now, c)
		}
	}
}

// Cancel forgets a call; it has no Result. An unknown id is ignored.
func (e *Endpoint) Cancel(id CallID) {
	if c := e.calls[id]; c != nil {
		e.unlink(c)
	}
}

// finish ends a call with its result.
func (e *Endpoint) finish(c *call, r Result, out *Actions) {
	e.unlink(c)
	r.ID = c.id
	out.Results = append(out.Results, r)
}

// unlink removes every trace of a call, and the handshake that only it wanted.
func (e *Endpoint) unlink(c *call) {
	delete(e.calls, c.id)
	e.schedule.clear(c)
	if h := c.wait; h != nil {
		c.wait = nil
		h.calls = without(h.calls, c)
		if len(h.calls) == 0 && h.until.IsZero() {
			e.abandon(h)
		}
	}
	if c.peer != nil {
		c.peer.calls = without(c.peer.calls, c)
		e.forget(c.peer)
	}
}

func without(calls []*call, c *call) []*call {
	if i := slices.Index(calls, c); i >= 0 {
		return slices.Delete(calls, i, i+1)
	}
	return calls
}

// receiveAnswer ends the call that a frame answers.
func (e *Endpoint) receiveAnswer(now time.Time, s *session, f frame, out *Actions) {
	c := e.calls[CallID(f.number)]
	if c == nil || c.peer != s.peer {
		e.counts[droppedLateAnswer]++
		return
	}
	rtt := now.Sub(c.last)
	switch {
	case int(f.try) == c.tries-1:
		s.peer.rtt.sample(rtt)
	case f.try == 0:
		rtt = now.Sub(c.first)
		s.peer.rtt.sample(rtt)
	}
	e.counts[callsAnswered]++
	e.finish(c, Result{Answer: transport.Answer{
		Peer: s.who, Data: slices.Clone(f.data), Observed: f.observed, RTT: rtt,
	}}, out)
}

// deliverEarly ends the call whose answer came with the RESP, once the
// responder is authorised.
func (e *Endpoint) deliverEarly(s *session, out *Actions) {
	early := s.answer
	s.answer = nil
	if early == nil || e.calls[early.call.id] != early.call {
		return
	}
	early.answer.Peer = s.who
	e.counts[callsAnswered]++
	e.finish(early.call, Result{Answer: early.answer}, out)
}
