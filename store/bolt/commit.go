package bolt

import (
	"fmt"

	"go.etcd.io/bbolt"
)

// run owns all writing, and the file's end.
func (s *Store) run() {
	defer close(s.done)
	var broken error
	for {
		select {
		case <-s.closing:
			s.closeErr = s.closeFile()
			return
		case first := <-s.writes:
			batch := s.collect(first)
			err := broken
			if err == nil {
				err, broken = s.commit(batch)
			}
			for _, w := range batch {
				w.done <- err
			}
		}
	}
}

// collect adds to first the writes that are waiting right now. It never waits
// for more: under load they arrive while the previous commit is under way.
func (s *Store) collect(first *write) []*write {
	batch := []*write{first}
	for len(batch) < maxBatch {
		select {
		case w := <-s.writes:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// commit writes the batch in order and syncs it. An error is broken too when
// bbolt gave up in the middle because of what it found in the file: further
// writes could only make it worse.
func (s *Store) commit(batch []*write) (err, broken error) {
	returned := false
	err = guard(s.path, func() error {
		err := s.db.Update(func(tx *bbolt.Tx) error { return apply(tx.Bucket(bucket), batch) })
		returned = true
		return err
	})
	if err == nil {
		s.writeCount.Add(uint64(len(batch)))
		s.commitCount.Add(1)
		return nil, nil
	}
	if !returned {
		return err, err
	}
	return fmt.Errorf("write to store %s: %w", s.path, err), nil
}

func apply(b *bbolt.Bucket, batch []*write) error {
	for _, w := range batch {
		var err error
		if w.remove {
			err = b.Delete(w.key)
		} else {
			err = b.Put(w.key, w.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) closeFile() error {
	if err := guard(s.path, s.db.Close); err != nil {
		return fmt.Errorf("close store %s: %w", s.path, err)
	}
	return nil
}
