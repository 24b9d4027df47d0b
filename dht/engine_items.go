package dht

import "errors"

// write is an item on its way to the store, or out of it, and who waits for it.
type write struct {
	call    uint64 // a peer's query, or 0
	op      *operation
	dropped *heldItem // what is on its way out
	erases  bool      // a deletion that nobody waits for
	key     Key
}

// receiveItem keeps a peer's item, or says that the whole is wanted. The answer
// waits for the disk.
func (e *Engine) receiveItem(r Received) {
	status, waits, inForce := e.storeItem(broughtBy(r.Query.Item, r.Peer.ID), &write{call: r.Call})
	if !waits {
		a := &Answer{Kind: KindPut, Status: status}
		a.Item = fitting(inForce, r.MaxAnswer-putAnswerFixedSize)
		e.respond(r, a)
	}
}

// fitting is what of an item fits into room: the whole, its head, or nothing.
func fitting(it *Item, room int) *Item {
	switch {
	case it == nil || headSize(it) > room:
		return nil
	case itemSize(it) > room:
		return it.with(nil)
	}
	return it
}

// receiveGet answers with the whole item if there is room for it. Whoever
// carries out the response adds the value of a large one.
func (e *Engine) receiveGet(r Received) {
	a := &Answer{Kind: KindGet}
	if it := e.items.get(r.Query.Target, e.now); it != nil && headerSize+headSize(it)+it.Size <= r.MaxAnswer {
		a.Item = it
	}
	e.respond(r, a)
}

// storeItem begins a put; if waits, the outcome comes with the write.
func (e *Engine) storeItem(p Kept, w *write) (status Status, waits bool, inForce *Item) {
	status, kept, inForce := e.items.begin(e.lastID+1, p, e.now)
	if kept == nil {
		return status, false, inForce
	}
	e.write(p.Item.Key, kept, w)
	return status, true, nil
}

// write asks for a write that w waits for; without kept it is a deletion.
func (e *Engine) write(key Key, kept *Kept, w *write) {
	e.lastID++
	w.key = key
	e.writes[e.lastID] = w
	e.actions.Writes = append(e.actions.Writes, Write{ID: e.lastID, Key: key, Kept: kept})
}

// stored takes over what the disk has now.
func (e *Engine) stored(ev Stored) {
	w := e.writes[ev.Write]
	if w == nil {
		return
	}
	delete(e.writes, ev.Write)
	switch {
	case w.dropped != nil:
		w.op.dropped(e, w.dropped, ev.Err)
		return
	case w.erases:
		e.erased(w.key, ev.Err)
		return
	}
	e.written(w, ev)
}

// written takes over an item that was to be stored.
func (e *Engine) written(w *write, ev Stored) {
	own := e.items.pending[ev.Write].Own
	held, gone := e.items.commit(ev.Write, ev.Err == nil)
	if ev.Err != nil && !own && !errors.Is(ev.Err, ErrBusy) {
		// It may be on the disk all the same.
		gone = append(gone, w.key)
	}
	e.erase(gone...)
	if held != nil && held.Own {
		e.publishLater(held)
	}
	switch {
	case w.op != nil:
		w.op.itemStored(e, ev.Err)
	case w.call != 0 && ev.Err == nil:
		e.actions.Responses = append(e.actions.Responses,
			Response{Call: w.call, Answer: &Answer{Kind: KindPut, Status: StatusStored}})
	case w.call != 0:
		e.actions.Responses = append(e.actions.Responses, Response{Call: w.call, Err: ErrBusy})
	}
}

// lose forgets a large item whose value the store no longer gives.
func (e *Engine) lose(ev Lost) {
	h := e.items.byKey[ev.Item.Key]
	if h == nil || !sameVersion(h.Item, ev.Item) || e.items.newest[ev.Item.Key] != nil {
		return
	}
	e.items.forget(ev.Item.Key)
	e.items.lost++
	e.erase(ev.Item.Key)
}

// drop forgets an own item. It is out of memory at once, so that a later put is
// written behind the deletion.
func (op *operation) drop(e *Engine) {
	h := e.items.byKey[op.task.Key]
	if h == nil || !h.Own || h.Item.Immutable() != op.task.Immutable {
		op.finish(e, ErrNotFound)
		return
	}
	e.items.forget(op.task.Key)
	e.write(op.task.Key, nil, &write{op: op, dropped: h})
}

// dropped ends a drop. What was written before the deletion came is gone with
// it; what is still on disk is held again.
func (op *operation) dropped(e *Engine, h *heldItem, err error) {
	key := h.Item.Key
	switch {
	case err == nil:
		e.items.forget(key)
	case e.items.byKey[key] == nil && e.items.newest[key] == nil:
		e.publishLater(e.items.insert(h.Kept))
	}
	if !op.ended {
		op.finish(e, err)
	}
}

// ownItem is an own item as it is stored here, expired or not.
func (op *operation) ownItem(e *Engine) {
	h := e.items.byKey[op.task.Key]
	if h == nil || !h.Own {
		op.finish(e, ErrNotFound)
		return
	}
	op.item = h.Item
	op.finish(e, nil)
}

// restoreItems takes over the items of an earlier run, own ones first.
func (e *Engine) restoreItems(items []Kept) {
	for _, own := range []bool{true, false} {
		for _, k := range items {
			if k.Own == own {
				e.restoreItem(k)
			}
		}
	}
	if len(e.items.doomed) > 0 {
		e.timers.set(e.now, timerErase, 0)
	}
}

// restoreItem takes over one of them, or has it deleted.
func (e *Engine) restoreItem(k Kept) {
	k.Item = k.Item.kept()
	k.taken = e.now
	switch {
	case e.items.byKey[k.Item.Key] != nil:
	case k.over(e.now):
		k.taken = k.Item.Expires
		e.items.past.remember(k, e.now)
		e.items.doomed = append(e.items.doomed, k.Item.Key)
	case e.items.fits(k):
		if held := e.items.insert(k); k.Own {
			e.publishLater(held)
		}
	case !k.Own: // the bounds were larger then
		e.items.doomed = append(e.items.doomed, k.Item.Key)
	}
}
