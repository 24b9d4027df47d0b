package dht

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/staex-mcc/mcc/identity"
)

func seedOf(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 24), n) }

var sameValues = cmp.Options{cmpopts.EquateComparable(Contact{}.Addr), cmpopts.EquateEmpty()}

func TestMessagesRoundTrip(t *testing.T) {
	queries, answers, _ := testMessages(t)
	for _, q := range queries {
		got, err := decodeQuery(appendQuery(nil, q))
		if diff := cmp.Diff(q, got, sameValues); err != nil || diff != "" {
			t.Errorf("query of kind %d: %v\n%s", q.Kind, err, diff)
		}
	}
	for _, a := range answers {
		got, err := decodeAnswer(appendAnswer(nil, a), &Query{Kind: a.Kind, Target: Key{0xaa, 0xbb}})
		if diff := cmp.Diff(a, got, sameValues); err != nil || diff != "" {
			t.Errorf("answer of kind %d: %v\n%s", a.Kind, err, diff)
		}
	}
}

// emptyAnswer is how long an answer is that could carry something and does not.
func emptyAnswer(kind Kind) int {
	if kind == KindGet {
		return headerSize
	}
	return putAnswerFixedSize
}

func TestDecodeRejects(t *testing.T) {
	queries, answers, _ := testMessages(t)
	reject := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want %v", what, err, ErrMalformed)
		}
	}
	for _, q := range queries {
		whole := appendQuery(nil, q)
		for n := range whole {
			_, err := decodeQuery(whole[:n])
			reject("truncated query", err)
		}
		_, err := decodeQuery(append(whole, 0))
		reject("long query", err)
		whole[0] = 2
		_, err = decodeQuery(whole)
		reject("another version", err)
	}
	for _, a := range answers {
		whole, q := appendAnswer(nil, a), &Query{Kind: a.Kind, Target: Key{0xaa, 0xbb}}
		for n := range whole {
			if _, err := decodeAnswer(whole[:n], q); n != emptyAnswer(a.Kind) || a.Status != StatusOutdated && a.Kind != KindGet {
				reject("truncated answer", err)
			}
		}
		_, err := decodeAnswer(append(whole, 0), q)
		reject("long answer", err)
		_, err = decodeAnswer(whole, &Query{Kind: a.Kind + 1})
		reject("answer to something else", err)
	}
	_, err := decodeQuery([]byte{WireVersion, 9, 0})
	reject("unknown kind", err)
	_, err = decodeQuery([]byte{WireVersion, byte(KindPing) | answerBit, 0})
	reject("an answer as a query", err)
	for _, wants := range []Wants{0, 8, 0xff} {
		_, err = decodeQuery(appendQuery(nil, &Query{Kind: KindFind, Wants: wants}))
		reject("odd wants", err)
	}
}

func TestDecodeRejectsAnswers(t *testing.T) {
	find := &Query{Kind: KindFind, Target: Key{1}}
	id := testIdentity(t, 1).ID()
	many := make([]Contact, bucketSize+1)
	for i := range many {
		many[i] = Contact{ID: id, Addr: testAddr}
	}
	l1, l2 := testLease(t, 1, Key{1}, 1, LeaseLife, ""), testLease(t, 2, Key{1}, 1, LeaseLife, "")
	if l1.Provider.Compare(l2.Provider) > 0 {
		l1, l2 = l2, l1
	}
	addr := func(b ...byte) []byte {
		whole := append([]byte{WireVersion, byte(KindFind) | answerBit, 0, 1}, id[:]...)
		return append(append(whole, b...), 0, 0, 0)
	}
	for what, b := range map[string][]byte{
		"too many contacts":   appendAnswer(nil, &Answer{Kind: KindFind, Contacts: many}),
		"contact of nobody":   appendAnswer(nil, &Answer{Kind: KindFind, Contacts: []Contact{{Addr: testAddr}}}),
		"leases out of order": appendAnswer(nil, &Answer{Kind: KindFind, Leases: []FoundLease{{Lease: *l2}, {Lease: *l1}}}),
		"a lease twice":       appendAnswer(nil, &Answer{Kind: KindFind, Leases: []FoundLease{{Lease: *l1}, {Lease: *l1}}}),
		"unknown status":      {WireVersion, byte(KindFind) | answerBit, 0, 9, 0, 0},
		"no address":          addr(0),
		"no port":             addr(4, 192, 0, 2, 1, 0, 0),
		"any host":            addr(4, 0, 0, 0, 0, 1, 1),
		"multicast":           addr(4, 224, 0, 0, 1, 1, 1),
		"unknown family":      addr(5, 192, 0, 2, 1, 1, 1),
		"IPv4 within IPv6":    addr(6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1, 1, 1),
	} {
		if _, err := decodeAnswer(b, find); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want %v", what, err, ErrMalformed)
		}
	}
	if _, err := decodeAnswer(addr(4, 192, 0, 2, 1, 1, 1), find); err != nil {
		t.Errorf("a good contact: %v", err)
	}
}

// TestSizes holds the arithmetic of what fits into an answer against the codec.
func TestSizes(t *testing.T) {
	_, answers, _ := testMessages(t)
	for _, a := range answers {
		want := putAnswerFixedSize
		switch a.Kind {
		case KindPing, KindGet:
			want = headerSize
		case KindFind:
			want = findAnswerFixedSize
		}
		for _, c := range a.Contacts {
			want += contactSize(c)
		}
		if a.Item != nil {
			want += itemSize(a.Item)
		}
		if a.Lease != nil {
			want += leaseSize(*a.Lease)
		}
		for _, l := range a.Leases {
			want += addrSize(l.Addr) + 2 + leaseSize(l.Lease) - len(l.Key)
		}
		if got := len(appendAnswer(nil, a)); got != want {
			t.Errorf("answer of kind %d: %d bytes, reckoned with %d", a.Kind, got, want)
		}
	}
}

func TestSignatures(t *testing.T) {
	r, l := testRecord(t, 1, "a", 1, "x").Record(), testLease(t, 1, Key{1}, 1, LeaseLife, "x")
	if err := r.Verify(); err != nil {
		t.Errorf("record: %v", err)
	}
	if err := VerifyLease(*l); err != nil {
		t.Errorf("lease: %v", err)
	}
	for what, change := range map[string]func(*Record){
		"owner":   func(r *Record) { r.Owner = testIdentity(t, 2).ID() },
		"name":    func(r *Record) { r.Name = "b" },
		"seq":     func(r *Record) { r.Seq++ },
		"expires": func(r *Record) { r.Expires = r.Expires.Add(time.Second) },
		"value":   func(r *Record) { r.Value = []byte("y") },
		"moved":   func(r *Record) { r.Name, r.Value = "", []byte("ax") },
		"no sig":  func(r *Record) { r.Sig = nil },
	} {
		forged := r
		change(&forged)
		if err := forged.Verify(); !errors.Is(err, ErrMalformed) {
			t.Errorf("record with another %s: got %v", what, err)
		}
	}
	for what, change := range map[string]func(*Lease){
		"key":      func(l *Lease) { l.Key = Key{2} },
		"provider": func(l *Lease) { l.Provider = testIdentity(t, 2).ID() },
		"seq":      func(l *Lease) { l.Seq++ },
		"expires":  func(l *Lease) { l.Expires = l.Expires.Add(time.Second) },
		"body":     func(l *Lease) { l.Body = []byte("y") },
		"end":      func(l *Lease) { l.Expires, l.Body = time.Time{}, nil },
	} {
		forged := *l
		change(&forged)
		if err := VerifyLease(forged); !errors.Is(err, ErrMalformed) {
			t.Errorf("lease with another %s: got %v", what, err)
		}
	}
	// A signature of one kind is none of another.
	forged := r
	forged.Sig = l.Sig
	if err := forged.Verify(); err == nil {
		t.Error("a lease's signature passes for a record's")
	}
}

// TestKeysApart: what has a position cannot stand at that of something else.
func TestKeysApart(t *testing.T) {
	id := testIdentity(t, 1).ID()
	keys := map[Key]string{KeyOf(id): "node"}
	for what, key := range map[string]Key{
		"no name": RecordKey(id, ""), "a": RecordKey(id, "a"), "other": RecordKey(identity.ID{1}, "a"),
	} {
		if other, taken := keys[key]; taken {
			t.Errorf("%s and %s have one position", what, other)
		}
		keys[key] = what
	}
}

func FuzzDecodeQuery(f *testing.F) {
	for _, seed := range encodings(f, "dht_messages.json", func(v messageVector) string { return v.Encoded }) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := decodeQuery(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v, want %v", err, ErrMalformed)
			}
			return
		}
		if again := appendQuery(nil, q); !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	for _, seed := range encodings(f, "dht_messages.json", func(v messageVector) string { return v.Encoded }) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for kind := KindPing; kind <= KindGet; kind++ {
			q := &Query{Kind: kind, Target: Key{1}}
			a, err := decodeAnswer(b, q)
			if err != nil {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("got %v, want %v", err, ErrMalformed)
				}
				continue
			}
			if again := appendAnswer(nil, a); !bytes.Equal(again, b) {
				t.Fatalf("%x became %x", b, again)
			}
		}
	})
}

// itemSeeds are the encodings of all records and values of the vectors.
func itemSeeds(tb testing.TB) [][]byte {
	return slices.Concat(
		encodings(tb, "dht_records.json", func(v valueVector) string { return v.Encoded }),
		encodings(tb, "dht_records.json", func(v valueVector) string { return v.Head }),
		encodings(tb, "dht_values.json", func(v blobVector) string { return v.Encoded }),
		encodings(tb, "dht_values.json", func(v blobVector) string { return v.Head }))
}

func FuzzDecodeItem(f *testing.F) {
	for _, seed := range itemSeeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		it, err := decodeItem(b)
		switch {
		case err != nil && !errors.Is(err, ErrMalformed):
			t.Fatalf("got %v, want %v", err, ErrMalformed)
		case err == nil && !bytes.Equal(appendItem(nil, it), b):
			t.Fatalf("%x became %x", b, appendItem(nil, it))
		case err == nil && (len(it.Value) > 0 && !it.Whole() || it.Size > MaxValue || itemSize(it) != len(b)):
			t.Fatalf("%x became %+v", b, it)
		}
	})
}

func FuzzDecodeKept(f *testing.F) {
	for _, seed := range itemSeeds(f) {
		f.Add(append(make([]byte, 1+32), seed...))
		f.Add(append(append([]byte{keptBrought}, bytes.Repeat([]byte("1"), 64)...), seed...))
		f.Add(append(append([]byte{keptBrought, 2}, bytes.Repeat([]byte("1"), 63)...), seed...))
		f.Add(append(append([]byte{keptBrought, 1}, make([]byte, 63)...), seed...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kept, err := decodeKept(b)
		if err == nil && !bytes.Equal(appendKept(nil, kept), b) {
			t.Fatalf("%x became %x", b, appendKept(nil, kept))
		}
	})
}

func FuzzDecodeLease(f *testing.F) {
	for _, seed := range encodings(f, "dht_leases.json", func(v valueVector) string { return v.Encoded }) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := decodeLease(b); err == nil && !bytes.Equal(appendLease(nil, *l), b) {
			t.Fatalf("%x became %x", b, appendLease(nil, *l))
		}
	})
}

func FuzzDecodeContacts(f *testing.F) {
	f.Add(appendContact(appendContact(nil, Contact{ID: identity.ID{1}, Addr: testAddr}), Contact{ID: identity.ID{2}, Addr: testAddr6}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		contacts := decodeContacts(b)
		for _, c := range contacts {
			again = appendContact(again, c)
		}
		if len(contacts) > maxRestored || !bytes.HasPrefix(b, again) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	contacts := make([]Contact, bucketSize)
	for i := range contacts {
		contacts[i] = Contact{ID: identity.ID(randomKey(rng)), Addr: testAddr}
	}
	find := &Query{Kind: KindFind, Target: Key{1}, Wants: WantContacts}
	found := &Answer{Kind: KindFind, Contacts: contacts}
	put := &Query{Kind: KindPut, Item: testRecord(b, 1, "name", 1, strings.Repeat("v", 500))}
	buf := make([]byte, 0, 2000)
	answer, query, record := appendAnswer(nil, found), appendQuery(nil, find), appendQuery(nil, put)
	for _, bench := range []struct {
		name string
		do   func()
	}{
		{"EncodeFind", func() { appendQuery(buf, find) }},
		{"EncodeFound20", func() { appendAnswer(buf, found) }},
		{"EncodePutRecord", func() { appendQuery(buf, put) }},
		{"DecodeFind", func() { decodeQuery(query) }},
		{"DecodeFound20", func() { decodeAnswer(answer, find) }},
		{"DecodePutRecord", func() { decodeQuery(record) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.do()
			}
		})
	}
}
