package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	defaultColumns = 80
	// drawEvery is the time between two drawings.
	drawEvery = 100 * time.Millisecond
	// longestBar is the width of the bar in characters.
	longestBar = 30
)

// progress shows on a terminal how far a transfer is. Nil shows nothing.
type progress struct {
	out   io.Writer
	width func() int // asked each time: windows change

	mu       sync.Mutex
	meter    meter
	shown    int  // characters of the line that stands there
	finished bool // an HTTP transport may read on after it has given up
}

// newProgress returns nil unless out is a terminal. A total of 0 is unknown.
func newProgress(out io.Writer, name string, total int64) *progress {
	f, ok := out.(*os.File)
	if !ok || terminalWidth(f) == 0 {
		return nil
	}
	return &progress{
		meter: meter{name: oneLine(name), total: total, began: time.Now()},
		out:   out, width: func() int { return terminalWidth(f) },
	}
}

// add counts n more bytes.
func (p *progress) add(n int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m := &p.meter
	m.moved += int64(n)
	if now := time.Now(); !p.finished && now.Sub(m.drawn) >= drawEvery && now.Sub(m.began) >= drawEvery {
		p.draw(now)
	}
}

// finish leaves the last state on a line of its own, if any was shown.
func (p *progress) finish() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown > 0 && !p.finished {
		p.draw(time.Now())
		fmt.Fprintln(p.out)
	}
	p.finished = true
}

func (p *progress) draw(now time.Time) {
	p.meter.measure(now)
	line := p.meter.line(now, p.width()-1)
	wide := utf8.RuneCountInString(line)
	fmt.Fprint(p.out, "\r"+line+strings.Repeat(" ", max(p.shown-wide, 0)))
	p.shown = wide
}

// meter knows how fast a transfer is.
type meter struct {
	name         string
	moved, total int64 // bytes; a total of 0 is unknown
	began, drawn time.Time
	counted      int64   // moved when it was measured last
	rate         float64 // bytes a second, smoothed
}

// measure brings the rate up to date.
func (m *meter) measure(now time.Time) {
	since := now.Sub(m.drawn)
	if m.drawn.IsZero() {
		since = now.Sub(m.began)
	}
	if since <= 0 {
		return
	}
	rate := float64(m.moved-m.counted) / since.Seconds()
	if !m.drawn.IsZero() {
		const weight = 0.2 // of the newest: about the last second counts
		rate = m.rate + weight*(rate-m.rate)
	}
	m.rate, m.drawn, m.counted = rate, now, m.moved
}

// line says how far it is in at most columns characters. What does not fit is
// left out, the least needed first.
func (m *meter) line(now time.Time, columns int) string {
	parts := m.parts(now)
	for len(parts) > 1 && width(parts) > columns {
		parts = parts[:len(parts)-1]
	}
	free := columns - width(parts)
	if m.total > 0 && free > len("[=]")+2 {
		parts = append(parts, bar(m.moved, m.total, min(free-2, longestBar)))
		free = columns - width(parts)
	}
	if name := []rune(m.name); len(name) > 0 && free > 4 {
		parts = append([]string{string(name[:min(len(name), free-2)])}, parts...)
	}
	line := []rune(strings.Join(parts, "  "))
	return string(line[:min(len(line), max(columns, 0))])
}

// parts are the facts, the most needed first.
func (m *meter) parts(now time.Time) []string {
	speed := bytesText(int64(m.rate)) + "/s"
	if m.total <= 0 {
		return []string{bytesText(m.moved), speed, clock(now.Sub(m.began))}
	}
	left := "-:--"
	if m.rate >= 1 {
		left = clock(time.Duration(float64(max(m.total-m.moved, 0)) / m.rate * float64(time.Second)))
	}
	return []string{
		fmt.Sprintf("%3d%%", 100*min(m.moved, m.total)/m.total),
		left + " left", speed, bytesText(m.moved) + " of " + bytesText(m.total),
	}
}

func width(parts []string) int { return utf8.RuneCountInString(strings.Join(parts, "  ")) }

// bar is columns wide with its brackets.
func bar(moved, total int64, columns int) string {
	inside := columns - 2
	full := int(float64(inside) * float64(min(moved, total)) / float64(total))
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", inside-full) + "]"
}

// bytesText is a size for people.
func bytesText(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/(1<<10), 0
	for size >= 1<<10 && unit < len("KMGTPE")-1 {
		size, unit = size/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f %ciB", size, "KMGTPE"[unit])
}

// clock is a duration as 1:05 or 2:03:04.
func clock(d time.Duration) string {
	const most = 99*time.Hour + 59*time.Minute + 59*time.Second
	s := int(min(max(d, 0), most).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
