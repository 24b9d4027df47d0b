package mcc

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/store"
)

// Prefixes of what the node itself keeps in its store.
const (
	savedServices  = "mcc/service/"
	savedListeners = "mcc/listener/"
	savedRecords   = "mcc/record/"
)

// savedState keeps registrations that are to survive a restart.
type savedState struct{ store store.Store }

func (s *savedState) putService(v Service) error { return s.put(savedServices+v.Name, v) }
func (s *savedState) deleteService(name string) error {
	return s.store.Delete([]byte(savedServices + name))
}
func (s *savedState) putListener(id string, v Listener) error { return s.put(savedListeners+id, v) }
func (s *savedState) deleteListener(id string) error {
	return s.store.Delete([]byte(savedListeners + id))
}

func (s *savedState) hasListener(id string) bool {
	_, err := s.store.Get([]byte(savedListeners + id))
	return err == nil
}

func (s *savedState) put(key string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("save %s: %w", key, err)
	}
	if err := s.store.Put([]byte(key), data); err != nil {
		return fmt.Errorf("save %s: %w", key, err)
	}
	return nil
}

// putRecord saves a record that the node keeps alive: its sequence, big-endian,
// and its value.
func (s *savedState) putRecord(name string, seq uint64, value []byte) error {
	data := slices.Concat(binary.BigEndian.AppendUint64(nil, seq), value)
	if err := s.store.Put([]byte(savedRecords+name), data); err != nil {
		return fmt.Errorf("save record %q: %w", name, err)
	}
	return nil
}

// getRecord returns a saved record, or store.ErrNotFound.
func (s *savedState) getRecord(name string) (seq uint64, value []byte, err error) {
	data, err := s.store.Get([]byte(savedRecords + name))
	if err != nil {
		return 0, nil, fmt.Errorf("saved record %q: %w", name, err)
	}
	if len(data) < 8 {
		return 0, nil, fmt.Errorf("saved record %q: %w", name, ErrDamaged)
	}
	return binary.BigEndian.Uint64(data), data[8:], nil
}

func (s *savedState) deleteRecord(name string) error {
	return s.store.Delete([]byte(savedRecords + name))
}

// recordNames yields the names of the saved records.
func (s *savedState) recordNames() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for entry, err := range s.store.Scan([]byte(savedRecords)) {
			if !yield(strings.TrimPrefix(string(entry.Key), savedRecords), err) {
				return
			}
		}
	}
}

// loadSaved decodes every entry under prefix; the undecodable are reported
// together with the rest.
func loadSaved[T any](s store.Store, prefix string) (all []T, err error) {
	var errs []error
	for entry, err := range s.Scan([]byte(prefix)) {
		if err != nil {
			errs = append(errs, err)
			break
		}
		var v T
		if err := json.Unmarshal(entry.Value, &v); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", entry.Key, err))
			continue
		}
		all = append(all, v)
	}
	return all, errors.Join(errs...)
}

// restoreSaved brings persisted services and listeners back. One that fails is
// reported and stays saved for the next start.
func (n *Node) restoreSaved() {
	services, err := loadSaved[Service](n.parts.store, savedServices)
	n.reportRestore("services", err)
	for _, s := range services {
		if err := n.Register(n.life.ctx, s); err != nil {
			n.reportRestore("service "+s.Name, err)
		}
	}
	listeners, err := loadSaved[Listener](n.parts.store, savedListeners)
	n.reportRestore("listeners", err)
	for _, l := range listeners {
		if _, err := n.AddListener(n.life.ctx, l); err != nil {
			n.reportRestore("listener "+l.ID, err)
		}
	}
}

func (n *Node) reportRestore(what string, err error) {
	if err != nil {
		n.log.Warn("persisted registration not restored", zap.String("what", what), zapErr(err))
	}
}
