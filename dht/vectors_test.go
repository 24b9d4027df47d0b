package dht

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// With -update the golden vectors are written anew: commit the difference only
// if you can explain it.
var update = flag.Bool("update", false, "rewrite the golden vectors")

const vectorFolder = "../testdata/vectors"

// valueVector is a signed record or lease with all that went into it.
type valueVector struct {
	Name string `json:"name"`
	// Seed makes the Ed25519 key of the signer.
	Seed    string `json:"seed"`
	Signer  string `json:"signer"`
	Record  string `json:"record_name,omitempty"`
	Key     string `json:"key"`
	Seq     uint64 `json:"seq"`
	Expires int64  `json:"expires_unix"`
	Value   string `json:"value_or_body"`
	Signed  string `json:"signed_bytes"`
	Sig     string `json:"signature"`
	Encoded string `json:"encoded"`
	// Head is the encoding of a record without its value.
	Head string `json:"head,omitempty"`
}

// blobVector is an immutable value; its key is its BLAKE3 hash.
type blobVector struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Key     string `json:"key"`
	Expires int64  `json:"expires_unix"`
	Encoded string `json:"encoded"`
	Head    string `json:"head"`
}

// messageVector is a query or an answer; Of is what it is made of.
type messageVector struct {
	Name    string `json:"name"`
	Of      string `json:"of"`
	Encoded string `json:"encoded"`
}

func compareVectors[T any](t *testing.T, file string, got []T) {
	t.Helper()
	path := filepath.Join(vectorFolder, file)
	if *update {
		text, err := json.MarshalIndent(got, "", "  ")
		if err == nil {
			err = os.WriteFile(path, append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := readVectors[T](t, file)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func readVectors[T any](tb testing.TB, file string) (vectors []T) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(vectorFolder, file))
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(text, &vectors); err != nil || len(vectors) == 0 {
		tb.Fatalf("%s: %d vectors, %v", file, len(vectors), err)
	}
	return vectors
}

func recordVector(name string, signer uint64, r *Item) valueVector {
	return valueVector{
		Name: name, Seed: hex.EncodeToString(seedOf(signer)), Signer: hex.EncodeToString(r.Owner[:]),
		Record: r.Name, Key: r.Key.String(), Seq: r.Seq, Expires: r.Expires.Unix(),
		Value: hex.EncodeToString(r.Value), Signed: hex.EncodeToString(r.signed()),
		Sig: hex.EncodeToString(r.Sig), Encoded: hex.EncodeToString(appendItem(nil, r)),
		Head: hex.EncodeToString(appendItem(nil, r.with(nil))),
	}
}

func leaseVector(tb testing.TB, name string, signer uint64, l *Lease) valueVector {
	v := valueVector{
		Name: name, Seed: hex.EncodeToString(seedOf(signer)), Signer: hex.EncodeToString(l.Provider[:]),
		Key: hex.EncodeToString(l.Key[:]), Seq: l.Seq,
		Value: hex.EncodeToString(l.Body), Signed: hex.EncodeToString(l.signed()),
		Sig: hex.EncodeToString(l.Sig), Encoded: hex.EncodeToString(appendLease(nil, *l)),
	}
	if !l.Withdrawn() {
		v.Expires = l.Expires.Unix()
	}
	return v
}

func TestRecordVectors(t *testing.T) {
	compareVectors(t, "dht_records.json", []valueVector{
		recordVector("plain", 1, testRecord(t, 1, "greeting", 7, "hello")),
		recordVector("no name, no value, sequence 0", 2, testRecord(t, 2, "", 0, "")),
		recordVector("largest in a datagram", 3, testRecord(t, 3, "n", 1<<63, string(make([]byte, MaxRecord-recordFixedSize-1)))),
		recordVector("smallest over a stream", 3, testRecord(t, 3, "n", 1<<63, string(make([]byte, MaxRecord-recordFixedSize)))),
	})
}

func TestValueVectors(t *testing.T) {
	vector := func(name string, value []byte) blobVector {
		it := ValueItem(value, testTime.Add(time.Hour))
		return blobVector{
			Name: name, Value: hex.EncodeToString(value), Key: it.Key.String(), Expires: it.Expires.Unix(),
			Encoded: hex.EncodeToString(appendItem(nil, it)), Head: hex.EncodeToString(appendItem(nil, it.with(nil))),
		}
	}
	compareVectors(t, "dht_values.json", []blobVector{
		vector("plain", []byte("hello")),
		vector("empty", nil),
		vector("smallest over a stream", make([]byte, MaxRecord-valueFixedSize+1)),
	})
}

func TestLeaseVectors(t *testing.T) {
	key := RecordKey(testIdentity(t, 1).ID(), "any key does")
	compareVectors(t, "dht_leases.json", []valueVector{
		leaseVector(t, "plain", 1, testLease(t, 1, key, 7, LeaseLife, "tcp")),
		leaseVector(t, "withdrawal", 1, testLease(t, 1, key, 8, 0, "")),
	})
}

// testMessages are all kinds of queries and answers.
func testMessages(tb testing.TB) (queries []*Query, answers []*Answer, vectors []messageVector) {
	key := Key{0xaa, 0xbb}
	contacts := []Contact{{ID: testIdentity(tb, 1).ID(), Addr: testAddr}, {ID: testIdentity(tb, 2).ID(), Addr: testAddr6}}
	record, lease := testRecord(tb, 1, "greeting", 7, "hello"), testLease(tb, 1, key, 7, LeaseLife, "tcp")
	withdrawal, value := testLease(tb, 2, key, 8, 0, ""), ValueItem([]byte("hello"), testTime.Add(time.Hour))
	query := func(name, of string, q *Query) {
		queries = append(queries, q)
		vectors = append(vectors, messageVector{"query: " + name, of, hex.EncodeToString(appendQuery(nil, q))})
	}
	answer := func(name, of string, a *Answer) {
		answers = append(answers, a)
		vectors = append(vectors, messageVector{"answer: " + name, of, hex.EncodeToString(appendAnswer(nil, a))})
	}
	query("ping", "", &Query{Kind: KindPing})
	query("find", "target aabb00…, wants contacts and leases, after nobody", &Query{Kind: KindFind, Target: key, Wants: WantContacts | WantLeases})
	query("find a page", "target aabb00…, wants leases, after the signer of seed 1", &Query{Kind: KindFind, Target: key, Wants: WantLeases, After: contacts[0].ID})
	query("put record", "the plain record of dht_records.json", &Query{Kind: KindPut, Item: record})
	query("put a head", "the head of the plain record", &Query{Kind: KindPut, Item: record.with(nil)})
	query("put value", "the plain value of dht_values.json", &Query{Kind: KindPut, Item: value})
	query("get", "target aabb00…", &Query{Kind: KindGet, Target: key})
	query("put lease", "key aabb00…, else as the plain lease of dht_leases.json", &Query{Kind: KindPutLease, Lease: lease})
	answer("ping", "", &Answer{Kind: KindPing})
	answer("found nothing", "", &Answer{Kind: KindFind})
	leases := []FoundLease{{*lease, testAddr}, {*withdrawal, testAddr6}}
	if lease.Provider.Compare(withdrawal.Provider) > 0 {
		leases[0], leases[1] = leases[1], leases[0]
	}
	answer("found everything", "contacts seed 1 at 192.0.2.1:9376 and seed 2 at [2001:db8::1]:9376, the plain record, a lease of seed 1 and a withdrawal of seed 2 with these addresses, more leases",
		&Answer{Kind: KindFind, Flags: FlagMoreLeases, Contacts: contacts, Item: record, Leases: leases})
	answer("stored a record", "", &Answer{Kind: KindPut, Status: StatusStored})
	answer("newer record", "the plain record is in force", &Answer{Kind: KindPut, Status: StatusOutdated, Item: record})
	answer("newer record, its head", "the head of the plain record is in force", &Answer{Kind: KindPut, Status: StatusOutdated, Item: record.with(nil)})
	answer("wanted", "the whole is to follow", &Answer{Kind: KindPut, Status: StatusWanted})
	answer("found a head", "the head of the plain value", &Answer{Kind: KindFind, Item: value.with(nil)})
	answer("got", "the plain value", &Answer{Kind: KindGet, Item: value})
	answer("got nothing", "", &Answer{Kind: KindGet})
	answer("full", "", &Answer{Kind: KindPutLease, Status: StatusFull})
	answer("newer lease", "the lease above is in force", &Answer{Kind: KindPutLease, Status: StatusOutdated, Lease: lease})
	return queries, answers, vectors
}

func TestMessageVectors(t *testing.T) {
	_, _, vectors := testMessages(t)
	compareVectors(t, "dht_messages.json", vectors)
}

// encodings are the messages of the vectors as seeds for the fuzz targets.
func encodings[T any](tb testing.TB, file string, encoded func(T) string) (seeds [][]byte) {
	tb.Helper()
	for _, v := range readVectors[T](tb, file) {
		b, err := hex.DecodeString(encoded(v))
		if err != nil || len(b) == 0 {
			tb.Fatalf("%s: bad seed: %v", file, err)
		}
		seeds = append(seeds, b)
	}
	return seeds
}
