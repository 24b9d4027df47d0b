package discovery

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/staex-mcc/mcc/dht"
)

func sampleBodies() []body {
	full := body{label: strings.Repeat("l", 30), consortium: strings.Repeat("c", 64), weight: MaxWeight, healthy: true, meta: map[string]string{}}
	for i := range MaxTags {
		full.tags = append(full.tags, fmt.Sprintf("tag-%02d", i))
	}
	for i := range MaxMeta {
		full.meta[fmt.Sprintf("key%02d", i)] = strings.Repeat("v", 20)
	}
	return []body{
		{weight: 1},
		{label: "web1", consortium: "Acme Corp", weight: 10, healthy: true, tags: []string{"blue", "äöü"}, meta: map[string]string{"version": "1.2", "empty": ""}},
		{weight: 2, tags: []string{strings.Repeat("t", MaxTag)}, meta: map[string]string{"k": strings.Repeat("v", MaxMetaKV-1)}},
		full,
	}
}

func TestBodyRoundTrip(t *testing.T) {
	for i, b := range sampleBodies() {
		data, err := b.encode()
		if err != nil {
			t.Fatalf("body %d: %v", i, err)
		}
		got, err := decodeBody(data)
		if diff := cmp.Diff(b, got, cmp.AllowUnexported(body{}), cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("body %d: %v (-want +got):\n%s", i, err, diff)
		}
	}
}

func TestBodyLayout(t *testing.T) {
	b := body{label: "web", consortium: "acme", weight: 258, healthy: true, tags: []string{"z", "a"}, meta: map[string]string{"b": "2", "a": ""}}
	data, err := b.encode()
	const want = "01" + "01" + "0102" + "03776562" + "0461636d65" + "02" + "017a" + "0161" + "02" + "0161" + "0000" + "0162" + "000132"
	if got := hex.EncodeToString(data); err != nil || got != want {
		t.Errorf("encode: %v\n got %s\nwant %s", err, got, want)
	}
}

func TestBodyRules(t *testing.T) {
	tests := []struct {
		name   string
		change func(*body)
	}{
		{"weight zero", func(b *body) { b.weight = 0 }},
		{"weight high", func(b *body) { b.weight = MaxWeight + 1 }},
		{"label not normal", func(b *body) { b.label = "Web" }},
		{"label long", func(b *body) { b.label = strings.Repeat("l", 31) }},
		{"consortium long", func(b *body) { b.consortium = strings.Repeat("c", 65) }},
		{"consortium unprintable", func(b *body) { b.consortium = "a\x00" }},
		{"tag empty", func(b *body) { b.tags = []string{""} }},
		{"tag long", func(b *body) { b.tags = []string{strings.Repeat("t", MaxTag+1)} }},
		{"tag unprintable", func(b *body) { b.tags = []string{"a\nb"} }},
		{"tag no text", func(b *body) { b.tags = []string{"\xff"} }},
		{"tag twice", func(b *body) { b.tags = []string{"a", "b", "a"} }},
		{"tags many", func(b *body) { b.tags = strings.Split("a b c d e f g h i j k l m n o p q", " ") }},
		{"meta key empty", func(b *body) { b.meta = map[string]string{"": "v"} }},
		{"meta key long", func(b *body) { b.meta = map[string]string{strings.Repeat("k", 256): ""} }},
		{"meta value unprintable", func(b *body) { b.meta = map[string]string{"k": "\x1b[31m"} }},
		{"meta long", func(b *body) { b.meta = map[string]string{"k": strings.Repeat("v", MaxMetaKV)} }},
		{"meta many", func(b *body) {
			b.meta = map[string]string{}
			for i := range MaxMeta + 1 {
				b.meta[fmt.Sprint(i)] = ""
			}
		}},
		{"all long", func(b *body) {
			for i := range MaxTags {
				b.tags = append(b.tags, fmt.Sprintf("%063d", i))
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := body{weight: 1}
			test.change(&b)
			if data, err := b.encode(); !errors.Is(err, ErrInvalid) || data != nil {
				t.Errorf("encode: %x, %v, want ErrInvalid", data, err)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := sampleBodies()[1].encode()
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := decodeBody(good[:n]); !errors.Is(err, ErrInvalid) {
			t.Errorf("the first %d bytes: %v, want ErrInvalid", n, err)
		}
	}
	const head = "0100" + "0001" + "00" + "00"
	tests := map[string]string{
		"trailing byte":  hex.EncodeToString(good) + "00",
		"version":        "0200" + "0001" + "00" + "00" + "00" + "00",
		"unknown flag":   "0102" + "0001" + "00" + "00" + "00" + "00",
		"weight":         "0100" + "0000" + "00" + "00" + "00" + "00",
		"weight high":    "0100" + "03e9" + "00" + "00" + "00" + "00",
		"label":          "0100" + "0001" + "0141" + "00" + "00" + "00",
		"tag twice":      head + "02" + "0161" + "0161" + "00",
		"tags many":      head + "11" + strings.Repeat("0161", 17) + "00",
		"meta order":     head + "00" + "02" + "01620000" + "01610000",
		"meta twice":     head + "00" + "02" + "01610000" + "01610000",
		"meta empty key": head + "00" + "01" + "000000",
		"meta many":      head + "00" + "11",
		"too long":       head + "00" + "00" + strings.Repeat("00", maxBody),
	}
	for name, text := range tests {
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := decodeBody(data); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v, %v, want ErrInvalid", name, b, err)
		}
	}
	if _, err := decodeBody([]byte{1, 0, 0, 1, 0, 0, 0, 0}); err != nil {
		t.Errorf("the smallest body, which the cases above spoil: %v", err)
	}
}

// TestMaxBody checks leaseOverhead against the lease codec.
func TestMaxBody(t *testing.T) {
	id := newIdentity(t, 1, "a")
	for n, want := range map[int]error{maxBody: nil, maxBody + 1: dht.ErrMalformed} {
		l := dht.Lease{Seq: 1, Expires: time.Now().Add(time.Minute), Body: make([]byte, n)}
		if _, err := dht.SignLease(id, l); !errors.Is(err, want) {
			t.Errorf("SignLease with a body of %d bytes: %v, want %v", n, err, want)
		}
	}
}

func FuzzDecodeBody(f *testing.F) {
	seeds := 0
	for _, b := range sampleBodies() {
		data, err := b.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		seeds++
	}
	if seeds < 3 {
		f.Fatalf("only %d seeds", seeds)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := decodeBody(data)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("decode: %v is no ErrInvalid", err)
			}
			return
		}
		again, err := b.encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("decode then encode: %v\n in %x\nout %x", err, data, again)
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"files", "files.acme", "a.b.c", "-.x", "files."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, consortium, err := ParseName(s)
		if err != nil {
			return
		}
		joined := name
		if consortium != "" {
			joined += "." + consortium
		}
		if joined != s || ValidateName(name) != nil {
			t.Errorf("ParseName(%q) = %q, %q", s, name, consortium)
		}
	})
}
