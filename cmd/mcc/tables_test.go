package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// tableOf runs a command and returns the words of its lines, one space between.
func tableOf(t *testing.T, args ...string) string {
	t.Helper()
	got := runWith(nil, args...)
	got.wants(t, exitDone, "")
	var lines []string
	for line := range strings.Lines(got.out) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func TestStatusShowsTheDID(t *testing.T) {
	api := fakeAPI(t, map[string]http.HandlerFunc{
		"GET /api/v1/node": answering(http.StatusOK, `{"id":"z6Mk1","label":"gate","did":"did:key:z6Mk1"}`),
	})
	if got, want := tableOf(t, "status", "-api", api), "id z6Mk1\ndid did:mcc:z6Mk1\nlabel gate\n"; !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant at first\n%s", got, want)
	}
}

func TestTagsInTables(t *testing.T) {
	api := fakeAPI(t, map[string]http.HandlerFunc{
		"GET /api/v1/services": answering(http.StatusOK, `{"services":[
			{"name":"none","address":"tcp://h:1","tags":[],"weight":1},{"name":"two","tags":["blue","eu"],"weight":2}]}`),
		"GET /api/v1/discovery/web": answering(http.StatusOK, `{"providers":[
			{"node":"z1","tags":[],"healthy":true},{"node":"z2","label":"gate","tags":["blue","eu"],"rtt_ms":1.25}]}`),
	})
	if got, want := tableOf(t, "services", "-api", api), "NAME ADDRESS TAGS WEIGHT\nnone tcp://h:1 - 1\ntwo - blue,eu 2"; got != want {
		t.Errorf("services: got\n%s\nwant\n%s", got, want)
	}
	const want = "NODE LABEL CONSORTIUM TAGS HEALTHY RTT\nz1 - - - true 0.0 ms\nz2 gate - blue,eu false 1.2 ms"
	if got := tableOf(t, "lookup", "web", "-api", api); got != want {
		t.Errorf("lookup: got\n%s\nwant\n%s", got, want)
	}
}

func TestSeedersOfNobody(t *testing.T) {
	api := fakeAPI(t, map[string]http.HandlerFunc{
		"GET /api/v1/blobs/{id}/seeders": answering(http.StatusOK, `{"seeders":[]}`),
	})
	if got := runWith(nil, "blob", "seeders", someID, "-api", api); got != (outcome{exitDone, "", "mcc: no seeders\n"}) {
		t.Errorf("got %+v", got)
	}
	if got := runWith(nil, "blob", "seeders", someID, "-api", api, "-json"); got != (outcome{exitDone, `{"seeders":[]}` + "\n", ""}) {
		t.Errorf("-json: got %+v", got)
	}
}

// TestReleased wants a removal to claim no more than is so.
func TestReleased(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 30, 1, 0, time.FixedZone("east", 3600))
	want := "no longer kept alive: state; others forget it by 2026-01-03T11:31:00Z"
	if got := released("state", now); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	api := fakeAPI(t, map[string]http.HandlerFunc{"DELETE /": answering(http.StatusNoContent, "")})
	for _, line := range []string{"record rm state", "value rm " + someID} {
		args := strings.Fields(line)
		got := runWith(nil, append(args, "-api", api)...)
		got.wants(t, exitDone, "")
		if want := "no longer kept alive: " + args[2] + "; others forget it by 20"; !strings.HasPrefix(got.out, want) {
			t.Errorf("%s: got %q, want %q at first", line, got.out, want)
		}
		if got := runWith(nil, append(args, "-api", api, "-json")...); got != (outcome{}) {
			t.Errorf("%s -json: got %+v, want nothing", line, got)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 services", 1: "1 service", 2: "2 services"} {
		if got := count(n, "service"); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}
