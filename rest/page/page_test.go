package page_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/rest"
)

// hostile is a name that would run if it became markup.
const hostile = `<img src=x onerror="document.title='taken'">`

// openDashboard shows the front page of node, live.
func openDashboard(t *testing.T, node *fakeNode) *page {
	t.Helper()
	p := openPage(t)
	t.Cleanup(p.wantNoFaults)
	p.navigate(serve(t, node, rest.Options{}))
	p.shows("#live", "live")
	return p
}

func TestFacts(t *testing.T) {
	f := newFakeNode()
	f.notReady = []string{"no bootnode has answered yet"}
	p := openDashboard(t, f)
	p.shows("h1", "gate")
	p.shows("#node-id", fakeID(1).String())
	p.shows("#node-did", fakeID(1).DID())
	p.shows("#node-addresses", "127.0.0.1:9376\n192.0.2.7:9376")
	p.shows("#node-consortium", "acme")
	p.shows("#node-uptime", "1 min 30 s")
	p.shows("#node-version", "1.2.3")
	p.shows("#ready", "not ready")
	p.shows("#reasons", "no bootnode has answered yet")
	p.shows("#peers", "Nobody yet.")
	// No event tells of these, so they are looked for.
	set(f, &f.notReady)
	set(f, &f.peers, mcc.PeerInfo{ID: fakeID(2), Label: "kitchen", Address: "192.0.2.9:9376", Path: "quic", RTT: 1234 * time.Microsecond, State: "active"})
	p.shows("#peers tbody", "kitchen", "192.0.2.9:9376", "quic", "1.2 ms", "active")
	p.until(`document.getElementById("ready").innerText.includes("● ready") || document.getElementById("ready").textContent === "ready"`)
	p.shows("#node-peers", "1")
}

func TestServices(t *testing.T) {
	f := newFakeNode()
	p := openDashboard(t, f)
	p.shows("#services", "This node offers nothing.")
	p.click("#services summary")
	p.fill("#service-form", map[string]string{
		"name": "files", "address": "http://localhost:8000", "tags": "blue, eu", "meta": "version=1.2, a=b=c", "health": "http",
	})
	p.shows("#services tbody", "files", "http://localhost:8000", "blue, eu", "a=b=c, version=1.2", "http")
	p.shows("#status", "Service files is offered.")
	p.shows("#events", "service registered files")
	want := mcc.HealthCheck{Type: "http"}
	if s := f.LocalServices()[0]; len(s.Tags) != 2 || s.Meta["version"] != "1.2" || s.Health == nil || *s.Health != want || s.Persist {
		t.Errorf("registered %+v", s)
	}
	// Errors come in words, where they belong.
	p.fill("#service-form", map[string]string{"name": "files", "address": "tcp://localhost:1"})
	p.shows("#service-form .error", `Service "files": already exists`)
	p.fill("#service-form", map[string]string{"name": "files", "tags": strings.Repeat("x,", 17)})
	p.shows("#service-form .error", "body.tags")
	// What others do shows without a reload.
	p.must(f.Register(t.Context(), mcc.Service{Name: "echo", Address: "tcp://127.0.0.1:7"}))
	p.shows("#services tbody", "echo")
	p.must(f.Unregister(t.Context(), "echo"))
	p.lacks("#services tbody", "echo")
	p.press("#services tbody", "Withdraw files")
	p.shows("#services", "This node offers nothing.")
	if n := len(f.LocalServices()); n != 0 {
		t.Errorf("%d services are left", n)
	}
}

func TestLocalPorts(t *testing.T) {
	f := newFakeNode()
	p := openDashboard(t, f)
	p.click("#listeners summary")
	p.fill("#listener-form", map[string]string{"service": "files", "policy": "random"})
	p.shows("#listeners tbody", "files", "tcp://127.0.0.1:5000", "random")
	p.shows("#status", "tcp://127.0.0.1:5000 leads to files.")
	p.press("#listeners tbody", "Close files")
	p.shows("#listeners", "No local ports are open.")
}

func TestDiscovery(t *testing.T) {
	f := newFakeNode()
	p := openDashboard(t, f)
	p.fill("#find-form", map[string]string{"name": "Not a name!"})
	p.shows("#find-form .error", "nvalid")
	p.fill("#find-form", map[string]string{"name": "files"})
	p.shows("#discovery .empty", "Nobody offers it now.")
	<-f.watched
	kitchen := mcc.Provider{Node: fakeID(2), Label: "kitchen", Tags: []string{"blue"}, Meta: map[string]string{"v": "1"}, Healthy: true}
	f.change(mcc.Added, kitchen)
	p.shows("#discovery tbody", "kitchen", "blue", "v=1", "healthy")
	if href := run[string](p, `document.querySelector("#find-open a").getAttribute("href")`); href != "api/v1/forward/files/" {
		t.Errorf("the link leads to %q", href)
	}
	kitchen.Healthy = false
	f.change(mcc.Updated, kitchen)
	p.shows("#discovery tbody", "failing")
	f.change(mcc.Removed, kitchen)
	p.shows("#discovery .empty", "Nobody offers it now.")
	p.click("#find-stop")
	p.until(`document.querySelector("#discovery .empty").hidden`)
}

func TestBlobs(t *testing.T) {
	f := newFakeNode()
	p := openDashboard(t, f)
	const content = "hello, mesh\x00\xff"
	file := filepath.Join(t.TempDir(), "greeting ü&?.txt")
	p.must(os.WriteFile(file, []byte(content), 0o600))
	p.must(chromedp.Do(p.ctx, chromedp.SetUploadFiles("#files", []string{file})))
	p.shows("#blobs tbody", "greeting ü&?.txt", "13 B")
	p.shows("#status", "“greeting ü&?.txt” is stored.")
	p.until(`document.querySelectorAll("#uploads li").length === 0`)

	if got := download(p, `#blobs tbody a`); got != content {
		t.Errorf("downloaded %q, want %q", got, content)
	}
	if name := run[string](p, `document.querySelector("#blobs tbody a").download`); name != "greeting ü&?.txt" {
		t.Errorf("the download is called %q", name)
	}
	p.press("#blobs tbody", "Ask")
	p.shows("#blobs tbody", "gate, kitchen")
	p.allowClipboard()
	p.press("#blobs tbody", "Copy id")
	p.shows("#status", "The id is copied.")
	if id := f.blobs[0].ID.String(); run[string](p, "navigator.clipboard.readText()") != id {
		t.Errorf("the clipboard has not %s", id)
	}

	p.press("#blobs tbody", "Delete")
	p.shows("#confirm", "Delete “greeting ü&?.txt” from this node?")
	p.press("#confirm", "Keep")
	p.until(`!document.getElementById("confirm").open`)
	p.press("#blobs tbody", "Delete")
	p.press("#confirm", "Delete")
	p.shows("#blobs", "No BLOBs here.")
	if n := len(snapshot(f, &f.blobs)); n != 0 {
		t.Errorf("%d BLOBs are left", n)
	}
}

// download clicks on a link and returns what the browser has stored then.
func download(p *page, link string) string {
	p.t.Helper()
	dir, events := p.t.TempDir(), true
	_, err := chromedp.CallBrowser(p.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllowAndName, DownloadPath: dir, EventsEnabled: &events,
	})
	p.must(err)
	progress := chromedp.BrowserEvents(p.ctx, browser.DownloadProgress)
	p.click(link)
	for e, err := range progress {
		p.must(err)
		switch e.State {
		case browser.DownloadProgressStateCompleted:
			content, err := os.ReadFile(filepath.Join(dir, e.GUID))
			p.must(err)
			return string(content)
		case browser.DownloadProgressStateCanceled:
			p.t.Fatal("the download was cancelled")
		}
	}
	return ""
}

func TestDropAndCancel(t *testing.T) {
	f := newFakeNode()
	f.hold = make(chan struct{})
	p := openDashboard(t, f)
	run[bool](p, `(() => {
		const dataTransfer = new DataTransfer();
		for (const name of ["first.txt", "second.txt", "third.txt"]) dataTransfer.items.add(new File([name], name));
		document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
		return true;
	})()`)
	p.shows("#uploads", "first.txt", "second.txt", "third.txt", "being stored", "waiting")
	if n := run[int](p, `document.querySelectorAll("#uploads progress[aria-label]").length`); n != 3 {
		t.Errorf("%d progress bars, want 3", n)
	}
	p.press("#uploads", "Cancel first.txt") // under way
	p.lacks("#uploads", "first.txt")
	p.press("#uploads", "Cancel third.txt") // waits
	close(f.hold)
	p.shows("#blobs tbody", "second.txt")
	p.until(`document.querySelectorAll("#uploads li").length === 0`)
	if blobs := snapshot(f, &f.blobs); len(blobs) != 1 {
		t.Errorf("stored %+v, want second.txt alone", blobs)
	}
}

// Names that others choose stay text.
func TestHostileNames(t *testing.T) {
	f := newFakeNode()
	p := openDashboard(t, f)
	set(f, &f.peers, mcc.PeerInfo{ID: fakeID(2), Label: hostile, Address: hostile, Path: hostile, State: hostile})
	p.must(f.Register(t.Context(), mcc.Service{
		Name: hostile, Address: hostile, Tags: []string{hostile}, Meta: map[string]string{hostile: hostile},
	}))
	_, err := f.PutBlob(t.Context(), strings.NewReader("x"), mcc.BlobOptions{Name: hostile})
	p.must(err)
	_, err = f.AddListener(t.Context(), mcc.Listener{Service: hostile, Policy: hostile})
	p.must(err)
	p.fill("#find-form", map[string]string{"name": "files"})
	<-f.watched
	f.change(mcc.Added, mcc.Provider{Node: fakeID(2), Label: hostile, Tags: []string{hostile}, Meta: map[string]string{hostile: hostile}})
	for _, part := range []string{"#peers tbody", "#services tbody", "#blobs tbody", "#listeners tbody", "#discovery tbody", "#events"} {
		p.shows(part, hostile)
	}
	p.press("#blobs tbody", "Delete")
	p.shows("#confirm", hostile)
	p.press("#confirm", "Keep")
	if n := run[int](p, `document.querySelectorAll("img, body script, iframe, [onerror]").length`); n != 0 {
		t.Errorf("%d elements were made of names", n)
	}
	if title := run[string](p, `document.title`); title != "gate · MCC node" {
		t.Errorf("title %q: a name has run", title)
	}
}

// The page has a policy of its own that keeps scripts out, should a text become
// markup all the same.
func TestPolicyHolds(t *testing.T) {
	p := openPage(t)
	p.navigate(serve(t, newFakeNode(), rest.Options{}))
	p.shows("#live", "live")
	refused := run[bool](p, `(() => { try { document.body.innerHTML = "<p>x"; return false; } catch { return true; } })()`)
	if !refused {
		t.Error("the browser makes markup of a text")
	}
	run[bool](p, `(() => {
		const e = document.createElement("div");
		try { e.setAttribute("onclick", "document.title='taken'"); } catch { return true; }
		document.body.append(e);
		e.click();
		return true;
	})()`)
	if title := run[string](p, `document.title`); title == "taken" {
		t.Error("an inline script has run")
	}
}

// The page looks right on wide and narrow screens, in light and dark; the
// pictures are for people to look at.
func TestLooks(t *testing.T) {
	f := newFakeNode()
	ctx := context.Background()
	set(f, &f.peers,
		mcc.PeerInfo{ID: fakeID(2), Label: "kitchen", Address: "192.0.2.9:9376", Path: "quic", RTT: 12 * time.Millisecond, State: "active"},
		mcc.PeerInfo{ID: fakeID(3), Label: "attic", Address: "[2001:db8::1]:9376", Path: "relayed", State: "idle"})
	p := openDashboard(t, f)
	p.must(f.Register(ctx, mcc.Service{Name: "files", Address: "http://localhost:8000", Tags: []string{"blue", "eu"}, Meta: map[string]string{"version": "1.2"}}))
	p.must(f.Register(ctx, mcc.Service{Name: strings.Repeat("long", 15), Address: "unix:/run/" + strings.Repeat("deep/", 40)}))
	for _, name := range []string{"holiday.mp4", strings.Repeat("x", 255)} {
		_, err := f.PutBlob(ctx, strings.NewReader(name), mcc.BlobOptions{Name: name})
		p.must(err)
	}
	_, err := f.AddListener(ctx, mcc.Listener{Service: "files.acme"})
	p.must(err)
	p.shows("#listeners tbody", "files.acme")
	p.shows("#blobs tbody", "holiday.mp4")
	for _, view := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1100, 900}, {"dark", "dark", 1100, 900}, {"phone", "light", 360, 740}, {"small", "dark", 320, 480}} {
		p.picture(view.name, view.scheme, view.width, view.height)
		if got := run[int64](p, `document.documentElement.scrollWidth`); got > view.width {
			t.Errorf("%s: %d wide on a screen of %d", view.name, got, view.width)
		}
	}
}

// Each control has a name, each table a caption and headed columns.
func TestAccessible(t *testing.T) {
	f := newFakeNode()
	p := openDashboard(t, f)
	p.must(f.Register(t.Context(), mcc.Service{Name: "files", Address: "tcp://localhost:1"}))
	p.shows("#services tbody", "files")
	nameless := run[[]string](p, `[...document.querySelectorAll("button, input, select, a")].filter((e) =>
		!(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length)).map((e) => e.outerHTML)`)
	if len(nameless) > 0 {
		t.Errorf("without a name: %v", nameless)
	}
	if n := run[int](p, `[...document.querySelectorAll("table")].filter((t) => !t.caption || t.querySelector("th:not([scope])")).length`); n != 0 {
		t.Errorf("%d tables lack a caption or a scope", n)
	}
	if n := run[int](p, `document.querySelectorAll("section:not([aria-labelledby])").length`); n != 0 {
		t.Errorf("%d sections lack a heading", n)
	}
	// A refresh leaves the focus of the keyboard where it is.
	run[bool](p, `document.querySelector("#services tbody button").focus(), true`)
	p.must(f.Register(t.Context(), mcc.Service{Name: "echo", Address: "tcp://localhost:1"}))
	p.shows("#services tbody", "echo")
	if text := run[string](p, `document.activeElement.textContent`); text != "Withdraw files" {
		t.Errorf("the focus is on %q", text)
	}
}

// The token is asked for once; the cookie does for everything else.
func TestLogin(t *testing.T) {
	f := newFakeNode()
	p := openPage(t)
	t.Cleanup(p.wantNoFaults)
	p.navigate(serve(t, f, rest.Options{Token: "correct horse"}))
	p.shows("h1", "MCC node")
	p.fill("form", map[string]string{"token": "correct horse"})
	p.until(`document.getElementById("live")?.textContent === "live"`)
	p.fill("#service-form", map[string]string{"name": "files", "address": "tcp://localhost:1"})
	p.shows("#services tbody", "files")
	p.click("#logout")
	p.until(`document.querySelector("input[type=password]")`)
}
