package dht

import (
	"container/list"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// Bounds of what is remembered of expired records (spec 6.6).
const (
	// maxPast bounds all of them; past it the one remembered first is
	// forgotten.
	maxPast = 16_384
	// maxPayerPast bounds those of one other node, who brought them or else
	// owns them; past it new ones are not remembered.
	maxPayerPast = 2048
	// pastLife is how long an older version than one just taken can live.
	pastLife = RecordLife + 2*ClockTolerance
)

// past remembers the versions of records that expired, so that an older one,
// which was to live longer, is not taken for the newest. Readers are told
// nothing of it, and a restart forgets what is not on disk.
type past struct {
	byKey  map[Key]*list.Element // of *pastVersion
	order  *list.List            // remembered first at the front
	payers map[identity.ID]int
	// dropped are those forgotten or not remembered for want of room.
	dropped uint64
}

// pastVersion is what is left of a record. Its item has neither value nor
// signature.
type pastVersion struct {
	item  *Item
	payer identity.ID
	until time.Time
}

func newPast() *past {
	return &past{byKey: map[Key]*list.Element{}, order: list.New(), payers: map[identity.ID]int{}}
}

// outdates reports whether a newer version of a record has been here.
func (p *past) outdates(it *Item) bool {
	e := p.byKey[it.Key]
	if e == nil || it.Immutable() {
		return false
	}
	return compareItems(e.Value.(*pastVersion).item, it) > 0
}

// remember takes over what is no longer held, if an older version can still
// live.
func (p *past) remember(k Kept, now time.Time) {
	until := k.taken.Add(pastLife)
	if k.Item.Immutable() || !until.After(now) {
		return
	}
	payer := k.Payer
	if !k.Bringer.IsZero() {
		payer = k.Bringer
	}
	p.forget(k.Item.Key)
	if p.payers[payer] >= maxPayerPast {
		p.dropped++
		return
	}
	if p.order.Len() >= maxPast {
		p.remove(p.order.Front())
		p.dropped++
	}
	it := k.Item.with(nil)
	it.Name, it.Sig = "", nil
	p.payers[payer]++
	p.byKey[it.Key] = p.order.PushBack(&pastVersion{item: it, payer: payer, until: until})
}

// forget drops what is remembered at key, if there is anything.
func (p *past) forget(key Key) {
	if e := p.byKey[key]; e != nil {
		p.remove(e)
	}
}

func (p *past) remove(e *list.Element) {
	v := p.order.Remove(e).(*pastVersion)
	delete(p.byKey, v.item.Key)
	if p.payers[v.payer]--; p.payers[v.payer] == 0 {
		delete(p.payers, v.payer)
	}
}

// sweep drops those of which no older version can live any more.
func (p *past) sweep(now time.Time) {
	for e := p.order.Front(); e != nil; {
		next := e.Next()
		if now.After(e.Value.(*pastVersion).until) {
			p.remove(e)
		}
		e = next
	}
}
