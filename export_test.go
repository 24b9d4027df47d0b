package mcc

import (
	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// DHT lets tests put entries that an honest node would not.
func (n *Node) DHT() dht.DHT { return n.parts.dht }

// Identity lets tests start a node again.
func (n *Node) Identity() identity.Identity { return n.self }

// Transport lets tests open streams that an honest node would not.
func (n *Node) Transport() transport.Transport { return n.parts.transport }
