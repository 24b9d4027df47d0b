package client

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"lukechampine.com/blake3"

	mcc "github.com/staex-mcc/mcc"
)

// Only what was read to its end counts as sent: a node may not settle for less.
func TestSourceKnowsWhatWasSent(t *testing.T) {
	const content = "what is sent"
	s := newSource(iotest.OneByteReader(strings.NewReader(content)))
	for i := range len(content) {
		if _, err := s.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		want := mcc.Hash(blake3.Sum256([]byte(content[:i+1])))
		if id, size, whole := s.sent(); id != want || size != int64(i+1) || whole {
			t.Errorf("after %d bytes: %s, %d, %v", i+1, id, size, whole)
		}
	}
	if n, err := s.Read(make([]byte, 8)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if _, size, whole := s.sent(); size != int64(len(content)) || !whole {
		t.Errorf("at the end: %d, %v", size, whole)
	}
	s.mu.Lock() // as while r is read
	if _, _, whole := s.sent(); whole {
		t.Error("what is being read is called whole")
	}
	s.mu.Unlock()
	broken := errors.New("broken")
	s = newSource(iotest.ErrReader(broken))
	if _, err := s.Read(make([]byte, 8)); !errors.Is(err, broken) || !errors.Is(s.failure(), broken) {
		t.Errorf("a reader that fails: %v, %v", err, s.failure())
	}
	if _, _, whole := s.sent(); whole {
		t.Error("a reader that fails is called whole")
	}
}
