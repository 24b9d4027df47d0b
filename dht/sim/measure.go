package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/dht"
)

// Populate adds nodes one every interval until there are count; each joins
// through a random node that was there before.
func (w *World) Populate(count int, interval time.Duration) {
	for len(w.nodes) < count {
		n := w.Add()
		if seed := w.random(n); seed != nil {
			w.Start(n, dht.Task{Kind: dht.TaskJoin, Seeds: []dht.Contact{{Addr: seed.Contact.Addr}}}, func(dht.Result) {})
		}
		w.Run(interval)
	}
}

// random picks a living node other than not, nil if there is none.
func (w *World) random(not *Node) *Node {
	living := slices.DeleteFunc(slices.Clone(w.nodes), func(n *Node) bool { return n == not || !n.Alive })
	if len(living) == 0 {
		return nil
	}
	return living[w.rng.IntN(len(living))]
}

// Churn lets time pass while nodes are replaced: every interval one dies and a
// new one joins.
func (w *World) Churn(d, interval time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.Kill(w.random(nil))
		w.Populate(len(w.nodes)+1, interval)
	}
}

// Nearest returns the n living nodes that are truly nearest to key, but for the
// one asking.
func (w *World) Nearest(key dht.Key, n int, asking *Node) []dht.Contact {
	type near struct {
		contact  dht.Contact
		distance dht.Key
	}
	var all []near
	for _, node := range w.nodes {
		if node.Alive && node != asking {
			all = append(all, near{node.Contact, key.Distance(dht.KeyOf(node.Contact.ID))})
		}
	}
	slices.SortFunc(all, func(a, b near) int { return a.distance.Compare(b.distance) })
	contacts := make([]dht.Contact, 0, n)
	for _, c := range all[:min(n, len(all))] {
		contacts = append(contacts, c.contact)
	}
	return contacts
}

// Report is what Measure found. Shares are 0 to 1.
type Report struct {
	Lookups int
	// Success is the share of lookups that found the truly nearest node, Recall
	// the share of the truly nearest 20 that were found.
	Success, Recall float64
	// HopsP50 and HopsP90 are the nodes on the way to the nearest.
	HopsP50, HopsP90 int
	// Messages is the mean of queries a lookup sent.
	Messages float64
	// TookP50 and TookP90 are virtual times.
	TookP50, TookP90 time.Duration
	// Puts is the share of records and leases that somebody acknowledged, Gets
	// the share that a random node then found.
	Puts, Gets float64
	// GetMessages is the mean of queries of a get.
	GetMessages float64
}

func (r Report) String() string {
	return fmt.Sprintf("%d lookups: nearest %.2f%%, recall@20 %.2f%%, hops p50 %d p90 %d, %.1f messages, p50 %v p90 %v; put %.1f%%, get %.1f%% with %.1f messages",
		r.Lookups, 100*r.Success, 100*r.Recall, r.HopsP50, r.HopsP90, r.Messages,
		r.TookP50.Round(time.Millisecond), r.TookP90.Round(time.Millisecond), 100*r.Puts, 100*r.Gets, r.GetMessages)
}

// Measure does lookups of random keys from random nodes, one after the other,
// and half as many puts and gets of records and leases.
func (w *World) Measure(lookups int) Report {
	const k = 20
	r := Report{Lookups: lookups}
	var hops []int
	var took []time.Duration
	found, wanted, queries, right := 0, 0, 0, 0
	for range lookups {
		n, key := w.random(nil), w.randomKey()
		res, d := w.Do(n, dht.Task{Kind: dht.TaskFindNearest, Key: key})
		true20 := w.Nearest(key, k, n)
		wanted += len(true20)
		for _, c := range true20 {
			if slices.Contains(res.Contacts, c) {
				found++
			}
		}
		if len(res.Contacts) > 0 && res.Contacts[0] == true20[0] {
			right++
		}
		hops, took, queries = append(hops, res.Hops), append(took, d), queries+res.Queries
	}
	r.Success, r.Recall = share(right, lookups), share(found, wanted)
	r.HopsP50, r.HopsP90 = quantile(hops, 50), quantile(hops, 90)
	r.TookP50, r.TookP90 = quantile(took, 50), quantile(took, 90)
	r.Messages = share(queries, lookups)
	w.measureValues(&r, lookups/4)
	return r
}

// measureValues puts and gets as many records, and as many leases.
func (w *World) measureValues(r *Report, count int) {
	puts, gets, queries := 0, 0, 0
	for i := range count {
		owner := w.random(nil)
		record := dht.Record{
			Owner: owner.Contact.ID, Name: fmt.Sprint(i), Seq: 1, Value: []byte("value"),
			Expires: w.now.Add(time.Hour).Truncate(time.Second), Sig: make([]byte, 64),
		}
		put, _ := w.Do(owner, dht.Task{Kind: dht.TaskPut, Item: dht.RecordItem(record), Own: true})
		get, _ := w.Do(w.random(nil), dht.Task{Kind: dht.TaskGet, Key: record.Key()})
		puts, queries = puts+least(put.Acks), queries+get.Queries
		if get.Item != nil {
			gets++
		}
		lease := dht.Lease{
			Key: w.randomKey(), Provider: owner.Contact.ID, Seq: 1,
			Expires: w.now.Add(dht.LeaseLife).Truncate(time.Second), Sig: make([]byte, 64),
		}
		put, _ = w.Do(owner, dht.Task{Kind: dht.TaskPutLease, Lease: &lease})
		get, _ = w.Do(w.random(nil), dht.Task{Kind: dht.TaskFindLeases, Key: lease.Key})
		puts, gets, queries = puts+least(put.Acks), gets+len(get.Leases), queries+get.Queries
	}
	r.Puts, r.Gets, r.GetMessages = share(puts, 2*count), share(gets, 2*count), share(queries, 2*count)
}

func (w *World) randomKey() dht.Key {
	var key dht.Key
	for i := range key {
		key[i] = byte(w.rng.Uint32())
	}
	return key
}

// least is 1 if anybody acknowledged.
func least(acks int) int { return min(acks, 1) }

func share(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func quantile[T cmp.Ordered](values []T, percent int) T {
	slices.Sort(values)
	return values[min(len(values)*percent/100, len(values)-1)]
}
