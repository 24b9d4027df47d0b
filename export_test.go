package mcc

import (
	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

// DHT lets tests put entries that an honest node would not.
func (n *Node) DHT() dht.DHT { return n.parts.dht }

// Identity lets tests start a node again.
func (n *Node) Identity() identity.Identity { return n.self }
