package dht

import (
	"net/netip"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// Event is something that happened to an engine: one of Received, Answered,
// Failed, Asked, Cancelled, Stored, Lost and Tick.
type Event interface{ isEvent() }

// Received is a peer's query. What is in it has been verified: records and
// leases bear valid signatures.
type Received struct {
	// Call names the query in Actions.Responses.
	Call  uint64
	Peer  *identity.Peer
	From  netip.AddrPort
	Query *Query
	// Early and MaxAnswer are as in Request.
	Early     bool
	MaxAnswer int
}

// Answered is the answer to one of Actions.Sends, its contents verified.
type Answered struct {
	Send uint64
	// From is who answered; its ID is proven.
	From Contact
	// Peer is what is verified about From; nil gets no seat.
	Peer   *identity.Peer
	RTT    time.Duration
	Answer *Answer
}

// Failed says that one of Actions.Sends got no usable answer.
type Failed struct {
	Send uint64
	// Here says that the cause lies in this node, so that the contact is not
	// to blame.
	Here bool
}

// Asked starts an operation of this node; its Result comes in Actions.Results.
// Op is the caller's choice, unique and not zero.
type Asked struct {
	Op   uint64
	Task Task
}

// Cancelled ends an operation without a result.
type Cancelled struct{ Op uint64 }

// Stored tells the outcome of one of Actions.Writes. Writes under
// one key end in the order in which they were asked for.
type Stored struct {
	Write uint64
	// Err is why the disk is not as was asked for.
	Err error
}

// Lost says that the value of a large item is missing in the store, or damaged.
type Lost struct{ Item *Item }

// Tick says that NextDeadline has come; it does nothing before.
type Tick struct{}

func (Received) isEvent()  {}
func (Answered) isEvent()  {}
func (Failed) isEvent()    {}
func (Asked) isEvent()     {}
func (Cancelled) isEvent() {}
func (Stored) isEvent()    {}
func (Lost) isEvent()      {}
func (Tick) isEvent()      {}

// TaskKind is what an operation does.
type TaskKind uint8

// Kinds of tasks, named after the methods of DHT.
const (
	TaskJoin TaskKind = iota + 1
	TaskFindPeer
	// TaskFindNearest returns the nodes nearest to Key, in Result.Contacts.
	TaskFindNearest
	// TaskPut places Item, TaskGet finds the item at Key.
	TaskPut
	TaskGet
	// TaskOwn returns the own item at Key as it is stored here, TaskDrop
	// forgets it.
	TaskOwn
	TaskDrop
	TaskPutLease
	TaskFindLeases
	// TaskContacts returns the verified contacts at once.
	TaskContacts
)

// Task is an operation to do. Which fields count depends on Kind.
type Task struct {
	Kind TaskKind
	// Seeds is for TaskJoin.
	Seeds []Contact
	// Peer is for TaskFindPeer.
	Peer identity.ID
	// Key is for TaskFindNearest, TaskGet, TaskOwn, TaskDrop and
	// TaskFindLeases.
	Key Key
	// Immutable says that TaskGet or TaskDrop is about an immutable value.
	Immutable bool
	// Item, whole, and Lease, verified, are for the puts. Own says that the
	// item is to be published as this node's.
	Item  *Item
	Own   bool
	Lease *Lease
}

// Actions is what a step asks its caller to do, in any order. The slices belong
// to the engine and are reused by the next step; what they point to is never
// changed again.
type Actions struct {
	Sends     []Send
	Responses []Response
	Writes    []Write
	Results   []Result
	// Seated and Left are changes of the routing table.
	Seated, Left []Contact
}

func (a *Actions) reset() {
	clear(a.Sends)
	clear(a.Responses)
	clear(a.Writes)
	clear(a.Results)
	*a = Actions{
		Sends: a.Sends[:0], Responses: a.Responses[:0], Writes: a.Writes[:0],
		Results: a.Results[:0], Seated: a.Seated[:0], Left: a.Left[:0],
	}
}

// Send is a query to carry to a node. It ends in Answered or Failed. Over a
// Stream, the whole item is to be sent: the carrier adds the value that a head
// lacks from the store.
type Send struct {
	ID     uint64
	To     Contact
	Query  *Query
	Stream bool
}

// Response is the answer to a Received query; with Err there is none to give.
// To an answer to KindGet, the caller adds the value that a head lacks.
type Response struct {
	Call   uint64
	Answer *Answer
	Err    error
}

// Write asks to store an item durably, or to delete what is under Key if Kept is
// nil. It is answered by Stored. A head takes the place of another
// head of the same value, which stays.
type Write struct {
	ID   uint64
	Key  Key
	Kept *Kept
}

// Result is the outcome of an operation.
type Result struct {
	Op  uint64
	Err error
	// Contacts are the nearest nodes that answered (TaskFindNearest), or those
	// of the table (TaskContacts, TaskJoin); of TaskFindPeer the one found.
	Contacts []Contact
	// Item is what was got; if it is a head, the value is in this node's store.
	Item   *Item
	Leases []FoundLease
	// Acks is how many others stored what was put.
	Acks int
	// Queries is how many find queries were sent, Hops how many nodes stood
	// one behind the other on the way to the nearest.
	Queries, Hops int
}
