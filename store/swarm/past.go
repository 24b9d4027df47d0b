package swarm

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// Who seeds a BLOB is what anybody says: a node may name thousands that do not
// exist, at the address of somebody who has nothing to do with it. So an
// address gets few dials until a seeder there has delivered something.
const (
	maxSiteDials = 2  // to one address at a time
	maxSiteTries = 16 // and in a minute
	siteWindow   = time.Minute
	// siteTrust is how long an address that delivered is dialled freely.
	siteTrust = 10 * time.Minute
	// maxSites is how many addresses are remembered; past it, one that nobody is
	// dialling is forgotten.
	maxSites = 4096
	// maxDelivered and maxVain are how many seeders are remembered that have
	// delivered, and that were tried in vain.
	maxDelivered = 1024
	maxVain      = 4096
)

// past is what a swarm remembers over its fetches. It is safe for concurrent
// use; its lock is taken last.
type past struct {
	mu        sync.Mutex
	delivered recents
	vain      recents
	sites     map[netip.Prefix]*site
}

// site is the dials to one address.
type site struct {
	dials   int       // under way
	since   time.Time // when tries began to be counted
	tries   int
	trusted time.Time // until when it is dialled freely
}

func newPast() *past {
	return &past{
		delivered: newRecents(maxDelivered), vain: newRecents(maxVain),
		sites: make(map[netip.Prefix]*site),
	}
}

// siteOf is what counts as one address: that of a host, or the network of 64
// bits that a host may have to itself. It is the zero value of no address.
func siteOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// siteOfConn is the address that a connection really goes to.
func siteOfConn(conn net.Conn) netip.Prefix {
	if conn == nil || conn.RemoteAddr() == nil {
		return netip.Prefix{}
	}
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{}
	}
	return siteOf(at.Addr())
}

// allows says whether one more dial may go to an address now. Those without an
// address are not bounded here.
func (p *past) allows(at netip.Prefix, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sites[at].allows(now)
}

func (s *site) allows(now time.Time) bool {
	switch {
	case s == nil || s.trusted.After(now):
		return true
	case s.dials >= maxSiteDials:
		return false
	}
	return s.tries < maxSiteTries || now.Sub(s.since) >= siteWindow
}

// begin counts a dial to an address, and the caller owes an end; it is false if
// the dial is not allowed. A trusted seeder's always is.
func (p *past) begin(at netip.Prefix, trusted bool, now time.Time) bool {
	if !at.IsValid() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !trusted && !p.sites[at].allows(now) {
		return false
	}
	s := p.site(at, now)
	if now.Sub(s.since) >= siteWindow {
		s.since, s.tries = now, 0
	}
	s.dials++
	s.tries++
	return true
}

func (p *past) end(at netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.sites[at]; s != nil && s.dials > 0 {
		s.dials--
	}
}

// site is under the lock.
func (p *past) site(at netip.Prefix, now time.Time) *site {
	if s := p.sites[at]; s != nil {
		return s
	}
	if len(p.sites) >= maxSites {
		p.forgetSite(now)
	}
	s := &site{since: now}
	p.sites[at] = s
	return s
}

// forgetSite makes room: of a few that nobody is dialling, the one that has been
// left alone the longest. Of those dialled there are always fewer than there is
// room for.
func (p *past) forgetSite(now time.Time) {
	var oldest netip.Prefix
	since, looked := now.Add(1), 0
	for at, s := range p.sites {
		if s.dials > 0 {
			continue
		}
		if s.since.Before(since) {
			oldest, since = at, s.since
		}
		if looked++; looked == 16 {
			break
		}
	}
	delete(p.sites, oldest)
}

// praise notes a seeder that delivered, over a connection to that address.
func (p *past) praise(id identity.ID, at netip.Prefix, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vain.remove(id)
	p.delivered.add(id)
	if at.IsValid() {
		p.site(at, now).trusted = now.Add(siteTrust)
	}
}

// blame notes a seeder that lied, or was slow.
func (p *past) blame(id identity.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delivered.remove(id)
	p.vain.add(id)
}

// miss notes a seeder that could not be reached. That it delivered before still
// counts.
func (p *past) miss(id identity.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vain.add(id)
}

// standing says whether a seeder has delivered, and whether it was tried in vain
// since.
func (p *past) standing(id identity.ID) (delivered, vain bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delivered.has(id), p.vain.has(id)
}
