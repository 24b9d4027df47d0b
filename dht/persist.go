package dht

import (
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Where the store keeps things: one entry with the contacts, in the encoding of
// an answer, and one for each record, under its position.
const (
	contactsKey  = "dht/contacts"
	recordPrefix = "dht/record/"
	// saveInterval is between savings of the contacts, if they changed; the
	// first one comes soon, for nodes that die young.
	saveInterval = time.Minute
	firstSave    = 5 * time.Second
)

// writeJob is one write to the store; a nil value deletes.
type writeJob struct {
	key   []byte
	value []byte
	// write is told to the engine when the job is done, unless it is zero.
	write uint64
}

// load reads what an earlier run left. Entries that cannot be read are passed
// over; those that expired are left for the sweep.
func (k *Kademlia) load(now time.Time) (EngineConfig, error) {
	cfg := EngineConfig{Self: k.env.Identity.ID(), Alpha: k.env.Alpha, Rand: newRand()}
	for e, err := range k.env.Store.Scan([]byte(recordPrefix)) {
		if err != nil {
			return cfg, fmt.Errorf("load records: %w", err)
		}
		r, err := decodeRecord(e.Value)
		if err != nil || recordExpired(r, now) {
			if err := k.env.Store.Delete(e.Key); err != nil {
				return cfg, fmt.Errorf("drop record: %w", err)
			}
			continue
		}
		cfg.Records = append(cfg.Records, *r)
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
	job := writeJob{key: append([]byte(recordPrefix), w.Key[:]...), write: w.ID}
	if w.Record != nil {
		job.value = appendRecord(nil, *w.Record)
	}
	select {
	case k.writes[int(w.Key[0])%writers] <- job:
	default:
		// A deletion that is lost is made up for by the next start.
		if w.ID != 0 {
			k.again = append(k.again, Stored{Write: w.ID, Err: ErrBusy})
		}
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
	if job.value == nil {
		return k.env.Store.Delete(job.key)
	}
	return k.env.Store.Put(job.key, job.value)
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
