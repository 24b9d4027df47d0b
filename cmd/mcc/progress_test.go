package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// meterAt is a transfer that moved at an even pace for a time.
func meterAt(moved, total int64, elapsed time.Duration) (*meter, time.Time) {
	m := &meter{name: "film.mkv", moved: moved, total: total, began: time.Unix(1000, 0)}
	now := m.began.Add(elapsed)
	m.measure(now)
	return m, now
}

func TestProgressLine(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name         string
		moved, total int64
		elapsed      time.Duration
		columns      int
		want         string
	}{
		{"all", 50 * mib, 100 * mib, 5 * time.Second, 100, "film.mkv   50%  0:05 left  10.0 MiB/s  50.0 MiB of 100.0 MiB  [==============              ]"},
		{"no name", 50 * mib, 100 * mib, 5 * time.Second, 68, " 50%  0:05 left  10.0 MiB/s  50.0 MiB of 100.0 MiB  [=======       ]"},
		{"no bar", 50 * mib, 100 * mib, 5 * time.Second, 50, " 50%  0:05 left  10.0 MiB/s  50.0 MiB of 100.0 MiB"},
		{"no sizes", 50 * mib, 100 * mib, 5 * time.Second, 40, " 50%  0:05 left  10.0 MiB/s  [====     ]"},
		{"percent", 50 * mib, 100 * mib, 5 * time.Second, 5, " 50%"},
		{"too narrow", 50 * mib, 100 * mib, 5 * time.Second, 2, " 5"},
		{"nothing", 50 * mib, 100 * mib, 5 * time.Second, 0, ""},
		{"less than nothing", 50 * mib, 100 * mib, 5 * time.Second, -1, ""},
		{"idle", 0, 100 * mib, 5 * time.Second, 44, "  0%  -:-- left  0 B/s  0 B of 100.0 MiB"},
		{"done", 100 * mib, 100 * mib, time.Second, 36, "100%  0:00 left  100.0 MiB/s  [====]"},
		{"more than was said", 200 * mib, 100 * mib, time.Second, 18, "100%  0:00 left"},
		{"unknown total", 3 * mib / 2, 0, 65 * time.Second, 80, "film.mkv  1.5 MiB  23.6 KiB/s  1:05"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, now := meterAt(tt.moved, tt.total, tt.elapsed)
			if got := m.line(now, tt.columns); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestProgressLineFits(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		m, now := meterAt(rng.Int64N(1<<rng.IntN(62)+1), rng.Int64N(1<<rng.IntN(62)+1), time.Duration(rng.Int64N(1<<rng.IntN(62)+1)))
		m.name = strings.Repeat("ü", rng.IntN(50))
		columns := rng.IntN(150)
		if line := m.line(now, columns); utf8.RuneCountInString(line) > columns || !utf8.ValidString(line) {
			t.Fatalf("%+v in %d columns: %q", m, columns, line)
		}
	}
}

func TestBytesTextAndClock(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 5 << 30: "5.0 GiB", 1<<63 - 1: "8.0 EiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0:00", 59 * time.Second: "0:59", time.Hour: "1:00:00",
		2*time.Hour + 3*time.Minute + 4*time.Second: "2:03:04", 1<<63 - 1: "99:59:59",
	} {
		if got := clock(d); got != want {
			t.Errorf("clock(%v) = %q, want %q", d, got, want)
		}
	}
}

// TestProgressDrawsSeldom moves a byte each millisecond for ten seconds.
func TestProgressDrawsSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &progress{out: &out, width: func() int { return 60 }, meter: meter{total: 10_000, began: time.Now()}}
		for range 10_000 {
			time.Sleep(time.Millisecond)
			p.add(1)
		}
		if got := strings.Count(out.String(), "\r"); got < 90 || got > 100 {
			t.Errorf("%d drawings in 10 s, want about 100", got)
		}
		p.finish()
		p.add(1) // of a transport that reads on
		if text := out.String(); !strings.HasSuffix(text, "\n") || !strings.Contains(text, "100%") {
			t.Errorf("the end is %q", text[len(text)-70:])
		}
	})
}

// TestProgressWipesLongerLine wants what stood there before to be gone.
func TestProgressWipesLongerLine(t *testing.T) {
	var out bytes.Buffer
	columns := 80
	p := &progress{out: &out, width: func() int { return columns }, meter: meter{total: 100, began: time.Now()}}
	p.draw(p.meter.began.Add(time.Second))
	long := p.shown
	out.Reset()
	columns = 10
	p.draw(p.meter.began.Add(2 * time.Second))
	if got := utf8.RuneCountInString(out.String()) - len("\r"); got != long {
		t.Errorf("%d characters drawn over a line of %d", got, long)
	}
}

func TestNoProgressInAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if newProgress(w, "x", 1) != nil || newProgress(&bytes.Buffer{}, "x", 1) != nil {
		t.Error("progress where no terminal is")
	}
	var none *progress
	none.add(1)
	none.finish()
}
