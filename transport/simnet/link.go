package simnet

import (
	"net/netip"
	"time"
)

// Link is what packets between two hosts go through; see Options for the
// fields they share. The zero Link is perfect.
type Link struct {
	Latency, Jitter          time.Duration
	Loss, Duplicate, Reorder float64
	ReorderDelay             time.Duration
	// MTU is the longest IP packet that fits the link; zero is no limit. The
	// sender is not told: a longer packet vanishes and is counted as TooBig.
	MTU int
}

// pair is a direction between two hosts.
type pair struct{ from, to netip.Addr }

// SetLink replaces the link between two hosts, both ways, for packets sent from
// now on.
func (n *Network) SetLink(a, b netip.Addr, l Link) {
	n.SetOneWay(a, b, l)
	n.SetOneWay(b, a, l)
}

// SetOneWay replaces the link for packets sent from one host to another.
func (n *Network) SetOneWay(from, to netip.Addr, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[pair{from.Unmap(), to.Unmap()}] = l
}

// Partition cuts the network: hosts of different groups do not reach each
// other, and hosts of no group are one more group. It replaces an earlier
// partition. Packets already on their way still arrive.
func (n *Network) Partition(groups ...[]netip.Addr) {
	cut := make(map[netip.Addr]int)
	for i, group := range groups {
		for _, host := range group {
			cut[host.Unmap()] = i + 1 // 0 is the hosts of no group
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.groups = cut
}

// Heal ends a partition.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.groups = nil
}

// SetDown takes a host off the network or puts it back. Packets from and to it
// vanish, also those on their way; its sockets notice nothing.
func (n *Network) SetDown(host netip.Addr, down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if down {
		n.down[host.Unmap()] = true
	} else {
		delete(n.down, host.Unmap())
	}
}

// link returns what packets of p go through now, and whether they pass at all.
// n.mu is held.
func (n *Network) link(p pair) (l Link, passes bool) {
	if p.from == p.to {
		return Link{}, true
	}
	if n.groups[p.from] != n.groups[p.to] || n.down[p.from] || n.down[p.to] {
		return Link{}, false
	}
	if l, ok := n.links[p]; ok {
		return l, true
	}
	return n.usual, true
}
