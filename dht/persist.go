package dht

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/store"
)

// Where the store keeps things: one entry with the contacts, in the encoding of
// an answer, and one for each record or value, under its position.
const (
	contactsKey = "dht/contacts"
	itemPrefix  = "dht/item/"
	// saveInterval is between savings of the contacts, if they changed; the
	// first one comes soon, for nodes that die young.
	saveInterval = time.Minute
	firstSave    = 5 * time.Second
)

// writeJob is one write to the store: of a value, or of an item; with neither it
// deletes.
type writeJob struct {
	key   []byte
	value []byte
	kept  *Kept
	// write is told to the engine when the job is done, unless it is zero.
	write uint64
}

// load reads what an earlier run left. Entries that cannot be read are dropped;
// of large items only the heads stay in memory.
func (k *Kademlia) load() (EngineConfig, error) {
	cfg := EngineConfig{Self: k.env.Identity.ID(), Alpha: k.env.Alpha, Rand: newRand()}
	for e, err := range k.env.Store.Scan([]byte(itemPrefix)) {
		if err != nil {
			return cfg, fmt.Errorf("load items: %w", err)
		}
		kept, err := decodeKept(e.Value)
		if err != nil || string(e.Key) != string(itemKey(kept.Item.Key)) {
			if err := k.env.Store.Delete(e.Key); err != nil {
				return cfg, fmt.Errorf("drop item: %w", err)
			}
			continue
		}
		kept.Item = kept.Item.kept()
		cfg.Items = append(cfg.Items, kept)
	}
	for e, err := range k.env.Store.Scan([]byte(contactsKey)) {
		if err != nil {
			return cfg, fmt.Errorf("load contacts: %w", err)
		}
		cfg.Contacts = decodeContacts(e.Value)
	}
	return cfg, nil
}

// startWrite queues a write for the goroutine that writes its key, so that
// writes under one key happen in order.
func (k *Kademlia) startWrite(w Write) {
	job := writeJob{key: itemKey(w.Key), kept: w.Kept, write: w.ID}
	select {
	case k.writes[int(w.Key[0])%writers] <- job:
	default:
		k.again = append(k.again, Stored{Write: w.ID, Err: ErrBusy})
	}
}

// write is a goroutine that writes to the store.
func (k *Kademlia) write(jobs <-chan writeJob) {
	for {
		select {
		case <-k.ctx.Done():
			return
		case job := <-jobs:
			err := k.writeOne(job)
			if err != nil {
				k.log.Warn("cannot write to the store", zap.Error(err))
			}
			if job.write != 0 {
				k.post(input{event: Stored{Write: job.write, Err: err}})
			}
		}
	}
}

func (k *Kademlia) writeOne(job writeJob) error {
	switch {
	case job.kept != nil:
		kept := *job.kept
		whole, err := k.whole(kept.Item)
		if err != nil {
			return err
		}
		// The head is the new one, only the value comes from the store.
		kept.Item = kept.Item.with(whole.Value)
		if !sameVersion(kept.Item, whole) {
			return fmt.Errorf("write head of %s: %w", kept.Item.Key, ErrOutdated)
		}
		return k.env.Store.Put(job.key, appendKept(nil, kept))
	case job.value != nil:
		return k.env.Store.Put(job.key, job.value)
	}
	return k.env.Store.Delete(job.key)
}

func itemKey(key Key) []byte { return append([]byte(itemPrefix), key[:]...) }

// whole returns an item with its value, which for a large one comes from the
// store; there may be a newer version by now. What is missing or damaged there
// is ErrNotFound, and forgotten.
func (k *Kademlia) whole(it *Item) (*Item, error) {
	if it.Whole() {
		return it, nil
	}
	b, err := k.env.Store.Get(itemKey(it.Key))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("load %s: %w", it.Key, err)
	}
	if kept, err := decodeKept(b); err == nil && kept.Item.Key == it.Key {
		return kept.Item, nil
	}
	k.post(input{event: Lost{Item: it}})
	return nil, fmt.Errorf("load %s: %w", it.Key, ErrNotFound)
}

// queueContacts has the contacts saved by a writer; a busy one is asked again
// later.
func (k *Kademlia) queueContacts(now time.Time) {
	k.saveAt = now.Add(saveInterval)
	select {
	case k.writes[0] <- writeJob{key: []byte(contactsKey), value: k.encodedContacts()}:
		k.changed = false
	default:
	}
}

// saveContacts is the last act of run.
func (k *Kademlia) saveContacts() {
	if !k.changed {
		return
	}
	if err := k.env.Store.Put([]byte(contactsKey), k.encodedContacts()); err != nil {
		k.log.Warn("cannot save the contacts", zap.Error(err))
	}
}

func (k *Kademlia) encodedContacts() []byte {
	b := []byte{}
	contacts := k.engine.contacts()
	for _, c := range contacts[:min(len(contacts), maxRestored)] {
		if sendable(c.Addr) {
			b = appendContact(b, c)
		}
	}
	return b
}

// decodeContacts reads as many contacts as are intact.
func decodeContacts(b []byte) (contacts []Contact) {
	in := reader{b: b}
	for len(in.b) > 0 && len(contacts) < maxRestored {
		c := Contact{ID: in.id(), Addr: in.addr()}
		if in.failed || !c.Addr.IsValid() {
			break
		}
		contacts = append(contacts, c)
	}
	return contacts
}
