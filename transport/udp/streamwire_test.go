package udp

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/staex-mcc/mcc/transport"
)

var update = flag.Bool("update", false, "rewrite the golden vectors; commit the diff only if you can explain it")

// vectors are the golden bytes of headers and answers.
type vectors struct {
	Comment string
	Headers []headerVector
	Answers []answerVector
	Invalid []invalidVector
}

type headerVector struct {
	Protocol   string
	PayloadHex string
	Wire       string
}

type answerVector struct {
	Accept bool
	Reason uint8  `json:",omitempty"`
	Text   string `json:",omitempty"`
	Wire   string
}

type invalidVector struct{ What, Kind, Wire string }

func vectorFile() string {
	return filepath.Join("..", "..", "testdata", "vectors", "stream_header.json")
}

// makeVectors computes the file from its inputs.
func makeVectors() vectors {
	v := vectors{Comment: "Opening headers of streams and their answers, spec, Streams 4. Wire is hexadecimal."}
	for _, o := range []transport.Open{
		{Protocol: "id"},
		{Protocol: "svc:files", Payload: []byte{0, 1, 254, 255}},
		{Protocol: strings.Repeat("p", transport.MaxProtocol), Payload: bytes.Repeat([]byte{0xab}, 300)},
	} {
		v.Headers = append(v.Headers, headerVector{o.Protocol, hex.EncodeToString(o.Payload), hex.EncodeToString(appendOpen(nil, o))})
	}
	v.Answers = append(v.Answers, answerVector{Accept: true, Wire: hex.EncodeToString([]byte{answerAccept})})
	for _, r := range []transport.RefusedError{
		{Reason: transport.ReasonNotFound, Text: ""},
		{Reason: transport.ReasonDenied, Text: "call:files"},
		{Reason: transport.ReasonBusy, Text: strings.Repeat("b", maxRefusal)},
		{Reason: transport.ReasonUnavailable, Text: "ünreachable"},
	} {
		v.Answers = append(v.Answers, answerVector{Reason: uint8(r.Reason), Text: r.Text, Wire: hex.EncodeToString(appendRefuse(nil, r.Reason, r.Text))})
	}
	v.Invalid = append(v.Invalid, []invalidVector{
		{"version 0", "header", "00026964" + "0000"},
		{"version 2", "header", "02026964" + "0000"},
		{"no protocol", "header", "0100" + "0000"},
		{"payload of 4097 bytes", "header", "01026964" + "1001"},
		{"cut protocol", "header", "010269"},
		{"cut payload", "header", "01026964" + "0002" + "00"},
		{"unknown answer", "answer", "03"},
		{"text of 201 bytes", "answer", "0203c9"},
		{"cut text", "answer", "02030261"},
	}...)
	return v
}

func TestVectors(t *testing.T) {
	if *update {
		text, err := json.MarshalIndent(makeVectors(), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile(), append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden := readVectors(t)
	if diff := cmp.Diff(golden, makeVectors()); diff != "" {
		t.Errorf("the code writes other bytes than the golden file (-file +code):\n%s", diff)
	}
	for _, h := range golden.Headers {
		o, err := readOpen(iotest.OneByteReader(bytes.NewReader(unhex(t, h.Wire))))
		if err != nil || o.Protocol != h.Protocol || hex.EncodeToString(o.Payload) != h.PayloadHex {
			t.Errorf("header %q: got %+v, %v", h.Protocol, o, err)
		}
	}
	for _, a := range golden.Answers {
		err := readAnswer(iotest.OneByteReader(bytes.NewReader(unhex(t, a.Wire))))
		refused, _ := errors.AsType[*transport.RefusedError](err)
		switch {
		case a.Accept && err != nil:
			t.Errorf("accept: %v", err)
		case !a.Accept && (refused == nil || uint8(refused.Reason) != a.Reason || refused.Text != a.Text):
			t.Errorf("refuse %d %q: got %v", a.Reason, a.Text, err)
		}
	}
	for _, i := range golden.Invalid {
		r := bytes.NewReader(unhex(t, i.Wire))
		_, err := readOpen(r)
		if i.Kind == "answer" {
			r.Seek(0, io.SeekStart)
			err = readAnswer(r)
		}
		if err == nil {
			t.Errorf("%s was accepted", i.What)
		}
		if _, refused := errors.AsType[*transport.RefusedError](err); refused {
			t.Errorf("%s is taken for a refusal", i.What)
		}
	}
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	text, err := os.ReadFile(vectorFile())
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Headers) == 0 || len(v.Answers) == 0 || len(v.Invalid) == 0 {
		t.Fatal("the golden file is empty")
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCheckOpen(t *testing.T) {
	for _, tt := range []struct {
		protocol, payload int
		want              error
	}{
		{1, 0, nil},
		{transport.MaxProtocol, transport.MaxPayload, nil},
		{0, 0, errNoProtocol},
		{transport.MaxProtocol + 1, 0, transport.ErrTooLong},
		{1, transport.MaxPayload + 1, transport.ErrTooLong},
	} {
		err := checkOpen(transport.Open{Protocol: strings.Repeat("p", tt.protocol), Payload: make([]byte, tt.payload)})
		want(t, "check", err, tt.want)
	}
}

// TestReadBounds: a length over the limit is refused although its bytes are
// there.
func TestReadBounds(t *testing.T) {
	long := append([]byte("\x01\x02id\x10\x01"), make([]byte, transport.MaxPayload+1)...)
	_, err := readOpen(bytes.NewReader(long))
	want(t, "payload of 4097 bytes", err, transport.ErrTooLong)
	err = readAnswer(bytes.NewReader(append([]byte{answerRefuse, 3, maxRefusal + 1}, make([]byte, maxRefusal+1)...)))
	want(t, "refusal of 201 bytes", err, errBadAnswer)
}

func TestRefusalIsCutAtACharacter(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{strings.Repeat("a", 200), strings.Repeat("a", 200)},
		{strings.Repeat("a", 201), strings.Repeat("a", 200)},
		{strings.Repeat("a", 199) + "ü", strings.Repeat("a", 199)},
		{strings.Repeat("\x80", 300), strings.Repeat("\x80", 196)},
	} {
		err := readAnswer(bytes.NewReader(appendRefuse(nil, transport.ReasonBusy, tt.text)))
		refused, ok := errors.AsType[*transport.RefusedError](err)
		if !ok || refused.Text != tt.want {
			t.Errorf("text of %d bytes: got %v", len(tt.text), err)
		}
	}
}

// FuzzOpen: any bytes either fail or are the one encoding of what they say, and
// nothing behind the header is touched.
func FuzzOpen(f *testing.F) {
	seeds := 0
	for _, h := range readVectors(f).Headers {
		f.Add(unhex(f, h.Wire))
		seeds++
	}
	for _, i := range readVectors(f).Invalid {
		f.Add(unhex(f, i.Wire))
		seeds++
	}
	if seeds < 8 {
		f.Fatalf("only %d seeds", seeds)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(append(bytes.Clone(data), "behind"...))
		o, err := readOpen(r)
		if err != nil {
			return
		}
		if err := checkOpen(o); err != nil {
			t.Fatalf("read a header that may not be sent: %v", err)
		}
		again := appendOpen(nil, o)
		whole := append(bytes.Clone(data), "behind"...)
		if !bytes.HasPrefix(whole, again) || r.Len() != len(whole)-len(again) {
			t.Fatalf("%x became %x with %d bytes left", data, again, r.Len())
		}
	})
}

// FuzzAnswer is FuzzOpen for answers.
func FuzzAnswer(f *testing.F) {
	for _, a := range readVectors(f).Answers {
		f.Add(unhex(f, a.Wire))
	}
	f.Add([]byte{answerRefuse, 1, 201})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		err := readAnswer(r)
		var again []byte
		if refused, ok := errors.AsType[*transport.RefusedError](err); ok {
			again = appendRefuse(nil, refused.Reason, refused.Text)
		} else if err == nil {
			again = []byte{answerAccept}
		} else {
			return
		}
		if !bytes.HasPrefix(data, again) || r.Len() != len(data)-len(again) {
			t.Fatalf("%x became %x with %d bytes left", data, again, r.Len())
		}
	})
}
