package mcc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/identity/did"
)

// didRecord is the record that holds a node's DID document (spec 8.1).
const didRecord = reservedRecords + "did"

// The first byte of its value says what the rest is.
const (
	// didDeactivated: the DID has been given up; nothing follows.
	didDeactivated = 0
	// didWritten: a document that the controller put.
	didWritten = 1
	// didMade: a document that the node made, which it may replace.
	didMade = 2
)

// maxDIDDocument leaves room for the first byte.
const maxDIDDocument = MaxValue - 1

// PutDID implements DIDs.
func (n *Node) PutDID(ctx context.Context, name string, document []byte) (DIDDocument, error) {
	d, err := n.ownDID(name)
	if err != nil {
		return DIDDocument{}, err
	}
	if len(document) > maxDIDDocument {
		return DIDDocument{}, fmt.Errorf("did document: %w: %d bytes, at most %d", ErrTooLarge, len(document), maxDIDDocument)
	}
	if err := did.Validate(document, d); err != nil {
		return DIDDocument{}, fmt.Errorf("did document: %w: %w", ErrInvalid, err)
	}
	return n.writeDID(ctx, didWritten, document)
}

// DeactivateDID implements DIDs.
func (n *Node) DeactivateDID(ctx context.Context, name string) error {
	if _, err := n.ownDID(name); err != nil {
		return err
	}
	_, err := n.writeDID(ctx, didDeactivated, nil)
	return err
}

// ownDID reads a DID that this node controls.
func (n *Node) ownDID(name string) (did.DID, error) {
	if err := n.alive(); err != nil {
		return did.DID{}, err
	}
	d, err := did.Parse(name)
	if err != nil {
		return did.DID{}, publicError(err)
	}
	switch {
	case d.Method() == did.MethodKey:
		return did.DID{}, fmt.Errorf("%w: a did:key has the one document that its key makes", ErrDenied)
	case d.Method() != did.MethodMCC:
		return did.DID{}, fmt.Errorf("%w: did:%s: only did:mcc can be put", ErrUnsupported, d.Method())
	}
	id, err := d.Node()
	if err != nil {
		return did.DID{}, publicError(err)
	}
	if id != n.ID() {
		return did.DID{}, fmt.Errorf("%w: only its controller, node %s, may change %s", ErrDenied, id, d)
	}
	return d, nil
}

// writeDID puts the next version of the node's document, after that of another
// writer if one came first.
func (n *Node) writeDID(ctx context.Context, kind byte, document []byte) (DIDDocument, error) {
	for attempt := 1; ; attempt++ {
		d, err := n.writeNextDID(ctx, kind, document)
		if !errors.Is(err, ErrConflict) || attempt == putAttempts {
			return d, err
		}
	}
}

func (n *Node) writeNextDID(ctx context.Context, kind byte, document []byte) (DIDDocument, error) {
	current, err := n.loadDID(ctx, n.ID())
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return DIDDocument{}, err
	case current.Deactivated:
		return DIDDocument{}, fmt.Errorf("%s: %w", current.DID, ErrDeactivated)
	case kind == didMade && (current.kind != didMade || bytes.Equal(current.Document, document)):
		return current.DIDDocument, nil
	}
	value := append([]byte{kind}, document...)
	r, err := n.putRecord(ctx, didRecord, value, RecordOptions{IfSeq: &current.Version})
	if err != nil {
		return DIDDocument{}, err
	}
	n.events.emit(Event{Kind: EventDIDPublished, Subject: did.OfNode(n.ID()).String()})
	return DIDDocument{DID: did.OfNode(n.ID()).String(), Document: document, Version: r.Seq, Deactivated: kind == didDeactivated}, nil
}

// storedDID is a document and how it came about.
type storedDID struct {
	DIDDocument
	kind byte
}

// loadDID reads the document of a node from the mesh; what this node has put is
// at hand even without one.
func (n *Node) loadDID(ctx context.Context, id identity.ID) (storedDID, error) {
	r, err := n.parts.dht.OwnRecord(ctx, didRecord)
	if id != n.ID() || errors.Is(err, dht.ErrNotFound) {
		n.awaitJoin(ctx)
		r, err = n.parts.dht.GetRecord(ctx, id, didRecord)
	}
	if err != nil {
		return storedDID{}, publicError(err)
	}
	d := storedDID{DIDDocument: DIDDocument{DID: did.OfNode(id).String(), Version: r.Seq}}
	if len(r.Value) == 0 || r.Value[0] > didMade {
		return storedDID{}, fmt.Errorf("%s: %w: its record holds no document", d.DID, ErrDamaged)
	}
	d.kind = r.Value[0]
	if d.kind == didDeactivated {
		d.Deactivated = true
		return d, nil
	}
	d.Document = r.Value[1:]
	return d, nil
}

// ResolveDID implements DIDs.
func (n *Node) ResolveDID(ctx context.Context, name string) (DIDDocument, error) {
	if err := n.alive(); err != nil {
		return DIDDocument{}, err
	}
	d, err := did.Parse(name)
	if err != nil {
		return DIDDocument{}, publicError(err)
	}
	if d.Method() != did.MethodMCC {
		document, err := did.Key(d)
		if err != nil {
			return DIDDocument{}, publicError(err)
		}
		return DIDDocument{DID: d.String(), Document: document}, nil
	}
	id, err := d.Node()
	if err != nil {
		return DIDDocument{}, publicError(err)
	}
	found, err := n.loadDID(ctx, id)
	switch {
	case err != nil:
		return DIDDocument{}, fmt.Errorf("resolve %s: %w", d, err)
	case found.Deactivated:
		return found.DIDDocument, fmt.Errorf("%s: %w", d, ErrDeactivated)
	}
	if err := did.Validate(found.Document, d); err != nil {
		return DIDDocument{}, fmt.Errorf("%s: %w: its controller put no valid document: %w", d, ErrDamaged, err)
	}
	return found.DIDDocument, nil
}

// publishPause gathers registrations that come one after the other into one
// version of the document; publishRetry follows a failure.
const (
	publishPause = 2 * time.Second
	publishRetry = time.Minute
)

// publishDID keeps the document that the node makes of its key and services in
// the mesh, unless its user has put one.
func (n *Node) publishDID() {
	if !n.waitJoined() {
		return
	}
	retry := time.NewTimer(publishRetry)
	defer retry.Stop()
	for {
		retry.Stop()
		if err := n.writeOwnDID(); err != nil && n.alive() == nil {
			n.log.Warn("the node's DID document could not be published", zapErr(err))
			retry.Reset(publishRetry)
		}
		select {
		case <-n.offers.changed:
		case <-retry.C:
		case <-n.life.ctx.Done():
			return
		}
		select {
		case <-time.After(publishPause):
		case <-n.life.ctx.Done():
			return
		}
	}
}

// writeOwnDID publishes the document that the node makes. A deactivated DID
// stays so.
func (n *Node) writeOwnDID() error {
	var services []did.Service
	for _, s := range n.offers.list() {
		services = append(services, did.Service{Name: s.Name})
	}
	_, err := n.writeDID(n.life.ctx, didMade, did.ForNode(n.ID(), services))
	if errors.Is(err, ErrDeactivated) {
		return nil
	}
	return err
}
