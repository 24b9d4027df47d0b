package simnet

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// Diagram says how WriteMermaid names things. The zero value shows addresses
// and first bytes.
type Diagram struct {
	// Name is what a host's column is called; nil or "" is its address.
	Name func(netip.AddrPort) string
	// Kind is what a packet is called; nil or "" is its first byte, as 0x05.
	Kind func(Traced) string
}

// WriteMermaid writes the packets as a Mermaid sequence diagram with default
// names; see [Diagram.Write].
func (t *Trace) WriteMermaid(w io.Writer) error { return Diagram{}.Write(w, t.Packets()) }

// Write draws packets, in their order, as a Mermaid sequence diagram: a column
// for each address and an arrow for each packet, with the time since the first
// one and the size in bytes. A packet that was not delivered ends in a cross
// and says why.
func (d Diagram) Write(w io.Writer, packets []Traced) error {
	out := bufio.NewWriter(w) // keeps its first error for Flush
	fmt.Fprintln(out, "sequenceDiagram")
	columns := make(map[netip.AddrPort]string)
	for _, p := range packets {
		for _, a := range []netip.AddrPort{p.Src, p.Dst} {
			if columns[a] == "" {
				columns[a] = fmt.Sprintf("n%d", len(columns)+1)
				fmt.Fprintf(out, "    participant %s as %s\n", columns[a], d.name(a))
			}
		}
	}
	for _, p := range packets {
		arrow, why := "->>", ""
		if p.Fate != Delivered {
			arrow, why = "-x", " "+p.Fate.String()
		}
		fmt.Fprintf(out, "    %s%s%s: %s %s %d B%s\n", columns[p.Src], arrow, columns[p.Dst],
			sinceText(p.Sent.Sub(packets[0].Sent)), d.kind(p), p.Size, why)
	}
	return out.Flush()
}

func (d Diagram) name(a netip.AddrPort) string {
	if d.Name != nil {
		if name := d.Name(a); name != "" {
			return plain(name)
		}
	}
	return a.String()
}

func (d Diagram) kind(p Traced) string {
	if d.Kind != nil {
		if kind := d.Kind(p); kind != "" {
			return plain(kind)
		}
	}
	return fmt.Sprintf("0x%02x", p.First)
}

// plain drops what would end a line or a statement of Mermaid.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ';' || r == '#' || r < ' ' {
			return ' '
		}
		return r
	}, s)
}

func sinceText(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
