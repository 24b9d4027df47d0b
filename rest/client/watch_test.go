package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
)

func testID(n byte) identity.ID { return identity.ID{0: n, 31: 1} }

func watchEvent(kind string, n byte, weight int, id string) string {
	return fmt.Sprintf("id: %s\nevent: %s\ndata: {\"node\":%q,\"weight\":%d}\n\n", id, kind, testID(n), weight)
}

// script answers each connection with the next part, then hangs up. It notes the
// Last-Event-ID of each.
func script(t *testing.T, parts ...string) (c *Client, last *[]string) {
	t.Helper()
	last = new([]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*last = append(*last, r.Header.Get("Last-Event-ID"))
		if len(*last) > len(parts) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, ": watching\nretry: 1000\n\n"+parts[len(*last)-1])
	}))
	t.Cleanup(server.Close)
	c, err := New(Options{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, last
}

// A watch goes on after a break, and when the steps in between are lost it tells
// the difference.
func TestWatchGoesOn(t *testing.T) {
	c, last := script(t,
		watchEvent("added", 1, 1, "e-1")+watchEvent("added", 2, 1, "e-2"),
		": nothing new\n\n",
		"id: f-9-part\nevent: reset\ndata: {}\n\n"+watchEvent("added", 2, 5, "f-9-part")+watchEvent("added", 3, 1, "f-9")+
			watchEvent("updated", 3, 2, "f-10"),
		"id: g-1\nevent: reset\ndata: {}\n\n",
		"event: closed\ndata: {\"type\":\"urn:mcc:error:closed\",\"detail\":\"node is closed\"}\n\n",
	)
	var got []string
	var ended error
	for ch, err := range c.Watch(t.Context(), "files") {
		if err != nil {
			ended = err
			break
		}
		got = append(got, fmt.Sprintf("%s %d w%d", ch.Kind, ch.Provider.Node[0], ch.Provider.Weight))
	}
	want := []string{
		"added 1 w1", "added 2 w1", "removed 1 w1", "updated 2 w5", "added 3 w1", "updated 3 w2", "removed 2 w5", "removed 3 w2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if !errors.Is(ended, mcc.ErrClosed) || ended.Error() != "node is closed" {
		t.Errorf("ended with %v", ended)
	}
	if want := []string{"", "e-2", "e-2", "f-10", "g-1"}; !slices.Equal(*last, want) {
		t.Errorf("asked for %q, want %q", *last, want)
	}
}

func TestWatchRefused(t *testing.T) {
	c, _ := script(t)
	n := 0
	for _, err := range c.Watch(t.Context(), "files") {
		if n++; err == nil {
			t.Error("no error")
		}
	}
	if n != 1 {
		t.Errorf("%d pairs", n)
	}
	c, _ = script(t, "event: added\ndata: {nonsense\n\n")
	for _, err := range c.Watch(t.Context(), "files") {
		if err == nil || !strings.Contains(err.Error(), "not the API's") {
			t.Errorf("nonsense: %v", err)
		}
	}
	c, _ = script(t, watchEvent("added", 1, 1, "e-1"))
	for range c.Watch(t.Context(), "files") {
		break // and nothing is left running
	}
}

func TestEvents(t *testing.T) {
	c, _ := script(t,
		"id: 7\nevent: joined\ndata: {\"seq\":7,\"time\":\"2026-01-02T15:04:05Z\",\"kind\":\"joined\",\"subject\":\"\",\"detail\":\"x\"}\n\n",
		"event: gap\ndata: {\"after\":7}\n\n"+
			"id: 9\nevent: service-registered\ndata: {\"seq\":9,\"kind\":\"service-registered\",\"subject\":\"files\"}\n\n")
	var got []mcc.Event
	for e, err := range c.Events(t.Context()) {
		if err != nil {
			break
		}
		got = append(got, e)
	}
	if len(got) != 2 || got[0].Seq != 7 || got[0].Kind != mcc.EventJoined || got[0].Detail != "x" || got[0].Time.IsZero() ||
		got[1].Seq != 9 || got[1].Subject != "files" {
		t.Errorf("events %+v", got)
	}
}

// An event that grows without end is cut.
func TestEventIsBounded(t *testing.T) {
	for name, line := range map[string]string{"one line": strings.Repeat("x", 1<<16), "many lines": "\ndata: xxxxxxxxxxxxxxxx"} {
		s := stream{each: func(serverEvent) error { t.Error("an event came"); return nil }}
		endless := io.MultiReader(strings.NewReader("event: added\ndata: "), repeat(line, 1<<17))
		if err := s.events(endless, func() {}); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: ended with %v", name, err)
		}
	}
}

// repeat is text over and over, n times.
func repeat(text string, n int) io.Reader { return &repeater{text: text, left: n} }

type repeater struct {
	text string
	left int
}

func (r *repeater) Read(p []byte) (int, error) {
	if r.left--; r.left < 0 {
		return 0, io.EOF
	}
	return copy(p, r.text), nil
}

func FuzzEvents(f *testing.F) {
	for _, seed := range []string{
		"", "\n", ": comment\n\n", "id: 1\nevent: added\ndata: {}\n\n", "event:x\ndata\ndata: a\ndata:b\n\n", "data: only\n\n", "event: cut",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		total := 0
		s := stream{each: func(e serverEvent) error {
			if total += len(e.data) + len(e.kind) + len(e.id); e.kind == "" {
				t.Error("an event without a kind")
			}
			return nil
		}}
		if err := s.events(bytes.NewReader(text), func() {}); err == nil {
			t.Error("a stream ended in order")
		}
		if total > len(text) {
			t.Errorf("%d bytes of events in %d", total, len(text))
		}
	})
}

func FuzzProblem(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"type":"urn:mcc:error:not-found","detail":"x"}`, `{"errors":[{"location":"a"}]}`, `[]`} {
		f.Add(404, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, status int, text []byte) {
		if err := readProblem(status, text); err.Error() == "" {
			t.Errorf("no text for %q", text)
		}
	})
}
