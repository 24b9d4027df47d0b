package rest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	mcc "github.com/staex-mcc/mcc"
)

func TestNode(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	wantJSON(t, do(t, h, "GET /api/v1/node", ""), 200, `{"id":"`+fakeID(1).String()+`","label":"gate",
		"did":"did:key:`+fakeID(1).String()+`","consortium":"acme","addresses":["127.0.0.1:9376"],
		"version":"1.2.3","uptime_s":90,"peers":2,"reachability":"unknown"}`)
	f.info.Addresses = nil
	if got := do(t, h, "GET /api/v1/node", "").Body.String(); !strings.Contains(got, `"addresses":[]`) {
		t.Errorf("no addresses must be []: %s", got)
	}
}

func TestPeers(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	wantJSON(t, do(t, h, "GET /api/v1/peers", ""), 200, `{"peers":[]}`)
	f.peers = []mcc.PeerInfo{
		{ID: fakeID(3), Address: "192.0.2.3:1", Path: "tcp", State: "idle"},
		{ID: fakeID(2), Label: "b", Consortium: "acme", Address: "192.0.2.2:1", Path: "quic", RTT: 1234567, State: "active"},
	}
	first, second := fakeID(2).String(), fakeID(3).String()
	if first > second {
		t.Fatal("ids sort otherwise; swap them")
	}
	wantJSON(t, do(t, h, "GET /api/v1/peers", ""), 200, `{"peers":[
		{"id":"`+first+`","label":"b","consortium":"acme","address":"192.0.2.2:1","path":"quic","rtt_ms":1.234,"state":"active"},
		{"id":"`+second+`","label":"","consortium":"","address":"192.0.2.3:1","path":"tcp","rtt_ms":0,"state":"idle"}]}`)
	w := do(t, h, "GET /api/v1/peers?limit=1", "")
	if !strings.Contains(w.Body.String(), `"next":"`+first+`"`) || strings.Contains(w.Body.String(), second) {
		t.Errorf("first page: %s", w.Body)
	}
	w = do(t, h, "GET /api/v1/peers?limit=1&cursor="+first, "")
	if !strings.Contains(w.Body.String(), second) || strings.Contains(w.Body.String(), "next") {
		t.Errorf("second page: %s", w.Body)
	}
}

func TestServices(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{})
	wantJSON(t, do(t, h, "GET /api/v1/services", ""), 200, `{"services":[]}`)

	full := `{"name":"files","address":"tcp://localhost:8000","tags":["blue"],"meta":{"version":"1.2"},"weight":10,
		"health":{"type":"http","interval_s":0.5,"timeout_s":1},"allow":["label:web*"],"persist":true}`
	shown := strings.Replace(full, `"interval_s"`, `"path":"/","interval_s"`, 1)
	w := do(t, h, "POST /api/v1/services", full) // no Content-Type
	wantJSON(t, w, 201, shown)
	if got := w.Header().Get("Location"); got != "/api/v1/services/files" {
		t.Errorf("Location %q", got)
	}
	w = do(t, h, "POST /api/v1/services", `{"name":"bare","address":"tcp://localhost:1","tags":null,"allow":null}`, "Content-Type: application/json; charset=utf-8")
	bare := `{"name":"bare","address":"tcp://localhost:1","tags":[],"meta":{},"weight":1,"allow":[],"persist":false}`
	wantJSON(t, w, 201, bare)
	wantJSON(t, do(t, h, "GET /api/v1/services", ""), 200, `{"services":[`+bare+`,`+shown+`]}`)
	wantJSON(t, do(t, h, "GET /api/v1/services?limit=1", ""), 200, `{"services":[`+bare+`],"next":"bare"}`)
	wantJSON(t, do(t, h, "GET /api/v1/services?limit=1&cursor=bare", ""), 200, `{"services":[`+shown+`]}`)
	wantJSON(t, do(t, h, "GET /api/v1/services/files", ""), 200, shown)

	wantProblem(t, do(t, h, "POST /api/v1/services", full), 409, "exists")
	if w := do(t, h, "DELETE /api/v1/services/files", ""); w.Code != 204 || w.Body.Len() != 0 {
		t.Errorf("DELETE: %d %s", w.Code, w.Body)
	}
	wantProblem(t, do(t, h, "DELETE /api/v1/services/files", ""), 404, "not-found")
	wantProblem(t, do(t, h, "GET /api/v1/services/files", ""), 404, "not-found")
}

func TestServiceDurations(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	do(t, h, "POST /api/v1/services", `{"name":"a","address":"x:1","health":{"type":"tcp","interval_s":0.25,"timeout_s":3}}`)
	do(t, h, "POST /api/v1/services", `{"name":"b","address":"x:1","health":{"type":"tcp"}}`)
	if got := *f.services[0].Health; got != (mcc.HealthCheck{Type: "tcp", Interval: 250 * time.Millisecond, Timeout: 3 * time.Second}) {
		t.Errorf("health %+v", got)
	}
	wantJSON(t, do(t, h, "GET /api/v1/services/b", ""), 200, `{"name":"b","address":"x:1","tags":[],"meta":{},"weight":1,
		"health":{"type":"tcp","path":"","interval_s":10,"timeout_s":2},"allow":[],"persist":false}`)
}

// What curl -d and fetch send of their own accord is taken as JSON.
func TestDefaultContentTypes(t *testing.T) {
	for name, contentType := range map[string]string{
		"curl": "application/x-www-form-urlencoded", "fetch": "text/plain;charset=UTF-8",
	} {
		h := newHandler(t, newFakeNode(), Options{})
		answer := do(t, h, "POST /api/v1/services", `{"name":"a","address":"x:1"}`, "Content-Type: "+contentType)
		if answer.Code != http.StatusCreated {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
}

func TestBadBodies(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{})
	for name, c := range map[string]struct {
		body, contentType string
		status            int
		code              string
	}{
		"not JSON":      {`{"name":`, "", 400, "malformed"},
		"two values":    {`{"name":"a","address":"x:1"} {}`, "", 400, "malformed"},
		"empty":         {``, "application/json", 400, "malformed"},
		"XML":           {`{"name":"a","address":"x:1"}`, "application/xml", 415, "media-type"},
		"array":         {`[]`, "", 422, "invalid"},
		"null":          {`null`, "", 422, "invalid"},
		"no address":    {`{"name":"a"}`, "", 422, "invalid"},
		"unknown field": {`{"name":"a","address":"x:1","tag":"x"}`, "", 422, "invalid"},
		"wrong type":    {`{"name":7,"address":"x:1"}`, "", 422, "invalid"},
		"weight":        {`{"name":"a","address":"x:1","weight":1001}`, "", 422, "invalid"},
		"health type":   {`{"name":"a","address":"x:1","health":{"type":"icmp"}}`, "", 422, "invalid"},
		"interval":      {`{"name":"a","address":"x:1","health":{"type":"tcp","interval_s":-1}}`, "", 422, "invalid"},
		"node says no":  {`{"name":"a","address":"nowhere"}`, "", 422, "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			headers := []string{}
			if c.contentType != "" {
				headers = append(headers, "Content-Type: "+c.contentType)
			}
			p := wantProblem(t, do(t, h, "POST /api/v1/services", c.body, headers...), c.status, c.code)
			if p.Detail == "" {
				t.Error("no detail")
			}
		})
	}
	p := wantProblem(t, do(t, h, "POST /api/v1/services", `{"name":7,"address":"x:1"}`), 422, "invalid")
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.name" {
		t.Errorf("errors %+v", p.Errors)
	}
}

// A body is bounded whether or not it announces its length, and one of exactly
// the bound is read.
func TestBodyLimit(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{})
	fit := func(n int) string {
		text := `{"name":"a","address":"nowhere"}`
		return text + strings.Repeat(" ", n-len(text))
	}
	wantProblem(t, do(t, h, "POST /api/v1/services", fit(64<<10)), 422, "invalid")
	wantProblem(t, do(t, h, "POST /api/v1/services", fit(64<<10+1)), 413, "too-large")
	s := newServer(t, h)
	resp, err := http.Post(s.URL+"/api/v1/services", "application/json", struct{ *strings.Reader }{strings.NewReader(fit(64<<10 + 1))})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("chunked: %s", resp.Status)
	}
}

func TestNodeErrors(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{mcc.ErrInvalid, 422, "invalid"},
		{mcc.ErrNotFound, 404, "not-found"},
		{mcc.ErrNoProvider, 503, "no-provider"},
		{mcc.ErrUnreachable, 502, "unreachable"},
		{fmt.Errorf("%w: %w", mcc.ErrUnreachable, context.DeadlineExceeded), 502, "unreachable"},
		{mcc.ErrDenied, 403, "denied"},
		{mcc.ErrExists, 409, "exists"},
		{mcc.ErrAmbiguous, 409, "ambiguous"},
		{mcc.ErrInUse, 409, "in-use"},
		{mcc.ErrConflict, 409, "conflict"},
		{mcc.ErrBusy, 503, "busy"},
		{mcc.ErrTooLarge, 413, "too-large"},
		{mcc.ErrUnsupported, 501, "unsupported"},
		{mcc.ErrDeactivated, 410, "deactivated"},
		{mcc.ErrDamaged, 500, "damaged"},
		{fmt.Errorf("%w: %w", mcc.ErrDamaged, mcc.ErrInvalid), 500, "damaged"},
		{mcc.ErrClosed, 503, "closed"},
		{context.DeadlineExceeded, 504, "deadline"},
		{os.ErrDeadlineExceeded, 504, "deadline"},
	} {
		f := newFakeNode()
		f.err = fmt.Errorf("what happened: %w", c.err)
		h := newHandler(t, f, Options{})
		p := wantProblem(t, do(t, h, "POST /api/v1/services", `{"name":"a","address":"x:1"}`), c.status, c.code)
		if p.Detail != f.err.Error() {
			t.Errorf("%v: detail %q", c.err, p.Detail)
		}
		wantProblem(t, do(t, h, "GET /api/v1/discovery/a", ""), c.status, c.code)
		wantProblem(t, do(t, h, "POST /api/v1/listeners", `{"service":"a","address":"x:1"}`), c.status, c.code)
	}
	f := newFakeNode()
	f.err = errPlain
	h := newHandler(t, f, Options{})
	p := wantProblem(t, do(t, h, "POST /api/v1/services", `{"name":"a","address":"x:1"}`), 500, "internal")
	if strings.Contains(p.Detail, "secret") {
		t.Errorf("an unknown error leaks: %q", p.Detail)
	}
}

func TestDiscovery(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	wantJSON(t, do(t, h, "GET /api/v1/discovery/nobody", ""), 200, `{"name":"nobody","providers":[]}`)

	expires := time.Date(2026, 1, 2, 15, 4, 5, 678_999_000, time.FixedZone("X", 3600))
	f.providers["files"] = []mcc.Provider{
		{Node: fakeID(3), Label: "c", Consortium: "acme", Tags: []string{"blue"}, Meta: map[string]string{"v": "1"}, Weight: 10, Healthy: true, RTT: 1500 * time.Microsecond, Expires: expires},
		{Node: fakeID(2), Expires: expires},
	}
	first := `{"node":"` + fakeID(3).String() + `","label":"c","consortium":"acme","tags":["blue"],"meta":{"v":"1"},
		"weight":10,"healthy":true,"rtt_ms":1.5,"expires":"2026-01-02T14:04:05.678Z"}`
	second := `{"node":"` + fakeID(2).String() + `","label":"","consortium":"","tags":[],"meta":{},
		"weight":1,"healthy":false,"rtt_ms":0,"expires":"2026-01-02T14:04:05.678Z"}`
	wantJSON(t, do(t, h, "GET /api/v1/discovery/files", ""), 200, `{"name":"files","providers":[`+first+`,`+second+`]}`)
	wantJSON(t, do(t, h, "GET /api/v1/discovery/files?limit=1", ""), 200, `{"name":"files","providers":[`+first+`],"next":"1"}`)
	wantJSON(t, do(t, h, "GET /api/v1/discovery/files?limit=1&cursor=1", ""), 200, `{"name":"files","providers":[`+second+`]}`)
	wantJSON(t, do(t, h, "GET /api/v1/discovery/files?cursor=99", ""), 200, `{"name":"files","providers":[]}`)

	do(t, h, "GET /api/v1/discovery/files?tag=blue&healthy=true&node=gate&limit=7", "")
	if got := f.queries[len(f.queries)-1]; got != (mcc.Query{Tag: "blue", HealthyOnly: true, Node: "gate", Limit: 8}) {
		t.Errorf("query %+v", got)
	}
	for _, bad := range []string{"healthy=maybe", "limit=0", "limit=1001", "limit=x", "cursor=-1", "heathly=true"} {
		wantProblem(t, do(t, h, "GET /api/v1/discovery/files?"+bad, ""), 422, "invalid")
	}
}

func TestListeners(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	wantJSON(t, do(t, h, "GET /api/v1/listeners", ""), 200, `{"listeners":[]}`)
	w := do(t, h, "POST /api/v1/listeners", `{"service":"files","address":"tcp://localhost:5000","from":["id:x"],"policy":"random","persist":true}`)
	one := `{"id":"tcp 5000/1","service":"files","address":"tcp://localhost:5000","policy":"random","from":["id:x"],"persist":true}`
	wantJSON(t, w, 201, one)
	where := w.Header().Get("Location")
	if where != "/api/v1/listeners/tcp%205000%2F1" {
		t.Errorf("Location %q", where)
	}
	do(t, h, "POST /api/v1/listeners", `{"service":"files","address":"tcp://localhost:0"}`)
	two := `{"id":"tcp 5000/2","service":"files","address":"tcp://localhost:0","policy":"nearest","from":[],"persist":false}`
	wantJSON(t, do(t, h, "GET /api/v1/listeners", ""), 200, `{"listeners":[`+one+`,`+two+`]}`)
	wantJSON(t, do(t, h, "GET /api/v1/listeners?limit=1", ""), 200, `{"listeners":[`+one+`],"next":"tcp 5000/1"}`)
	wantJSON(t, do(t, h, "GET "+where, ""), 200, one)
	if w := do(t, h, "DELETE "+where, ""); w.Code != 204 {
		t.Errorf("DELETE: %d %s", w.Code, w.Body)
	}
	wantProblem(t, do(t, h, "DELETE "+where, ""), 404, "not-found")
	wantProblem(t, do(t, h, "GET "+where, ""), 404, "not-found")
	wantProblem(t, do(t, h, "POST /api/v1/listeners", `{"service":"files"}`), 422, "invalid")
}

func TestLogLevel(t *testing.T) {
	wantProblem(t, do(t, newHandler(t, newFakeNode(), Options{}), "GET /api/v1/loglevel", ""), 404, "not-found")
	level := zap.NewAtomicLevelAt(zapcore.InfoLevel)
	h := newHandler(t, newFakeNode(), Options{LogLevel: &level})
	wantJSON(t, do(t, h, "GET /api/v1/loglevel", ""), 200, `{"level":"info"}`)
	for name, want := range levels {
		wantJSON(t, do(t, h, "PUT /api/v1/loglevel", `{"level":"`+name+`"}`), 200, `{"level":"`+name+`"}`)
		if level.Level() != want {
			t.Errorf("%s set %v", name, level.Level())
		}
		wantJSON(t, do(t, h, "GET /api/v1/loglevel", ""), 200, `{"level":"`+name+`"}`)
	}
	wantProblem(t, do(t, h, "PUT /api/v1/loglevel", `{"level":"loud"}`), 422, "invalid")
}

func TestNoRoute(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{})
	for _, path := range []string{"/nothing", "/api/v1", "/api/v1/nothing", "/swagger/secret.js", "/metrics", "/api/v1/forward", "/api/v1/forward/"} {
		wantProblem(t, do(t, h, "GET "+path, ""), 404, "not-found")
	}
	for request, allow := range map[string]string{
		"POST /api/v1/node":          "GET, HEAD",
		"PATCH /api/v1/services":     "GET, HEAD, POST",
		"PUT /api/v1/services/files": "DELETE, GET, HEAD",
		"GET /session":               "DELETE, POST",
		"OPTIONS /api/v1/node":       "GET, HEAD",
	} {
		w := do(t, h, request, "")
		wantProblem(t, w, 405, "method")
		if got := w.Header().Get("Allow"); got != allow {
			t.Errorf("%s: Allow %q, want %q", request, got, allow)
		}
	}
}

func TestHealth(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	wantJSON(t, do(t, h, "GET /healthz", ""), 200, `{"status":"ok"}`)
	wantJSON(t, do(t, h, "GET /readyz", ""), 200, `{"ready":true,"reasons":[]}`)
	f.notReady = []string{"no bootnode answered", "store closed"}
	wantJSON(t, do(t, h, "GET /healthz", ""), 200, `{"status":"ok"}`)
	w := do(t, h, "GET /readyz", "")
	p := wantProblem(t, w, 503, "not-ready")
	if len(p.Reasons) != 2 || p.Reasons[0] != "no bootnode answered" || !strings.Contains(w.Body.String(), `"ready":false`) {
		t.Errorf("%s", w.Body)
	}
}

func TestMetrics(t *testing.T) {
	f := newFakeNode()
	f.stats = mcc.Stats{Peers: 3, Contacts: 4, Services: 5, Listeners: 6, Counters: map[string]uint64{
		"transport_calls_dropped": 7, "forward_Bytes-out_total": 8,
	}}
	h := newHandler(t, f, Options{Monitoring: true})
	do(t, h, "GET /", "", "Host: evil.example")
	w := do(t, h, "GET /metrics", "")
	if ct := w.Header().Get("Content-Type"); w.Code != 200 || !strings.HasPrefix(ct, "text/plain; version=0.0.4") {
		t.Fatalf("%d %s", w.Code, ct)
	}
	text := w.Body.String()
	for _, line := range []string{
		"mcc_peers 3", "mcc_contacts 4", "mcc_services 5", "mcc_listeners 6", "mcc_ready 1", "mcc_uptime_seconds 90.4",
		"mcc_transport_calls_dropped_total 7", "mcc_forward_bytes_out_total 8", "mcc_rest_requests_refused_total 1",
		"# TYPE mcc_transport_calls_dropped_total counter", "# TYPE mcc_peers gauge", "mcc_rest_watchers 0",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	if !strings.Contains(text, `mcc_build_info{goversion="go`) || !strings.Contains(text, `version="1.2.3",wire="1"} 1`) {
		t.Error("no build info")
	}
	if !strings.Contains(text, "go_goroutines ") {
		t.Error("no runtime metrics")
	}
	if h2 := newHandler(t, f, Options{Monitoring: true}); do(t, h2, "GET /metrics", "").Code != 200 {
		t.Error("a second handler in one process")
	}
}
