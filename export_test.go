package mcc

import "github.com/staex-mcc/mcc/dht"

// DHT lets tests put entries that an honest node would not.
func (n *Node) DHT() dht.DHT { return n.parts.dht }
