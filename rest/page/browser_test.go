package page_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/staex-mcc/mcc/rest"
)

// browserTimeout bounds a whole test in the browser, for when the page never
// shows what is waited for.
const browserTimeout = 30 * time.Second

// page is one tab of a headless browser.
type page struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	faults []string
}

// openPage starts a browser that reaches this machine only. It skips the test
// where there is none.
func openPage(t *testing.T) *page {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), browserTimeout)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(
		ctx,
		chromedp.ExecPath(findBrowser(t)), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-extensions", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	p := &page{t: t, ctx: ctx}
	p.must(chromedp.Listen(ctx, p.notice))
	_, err := chromedp.Call(ctx, log.Enable, struct{}{})
	p.must(err)
	_, err = chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	p.must(err)
	return p
}

func findBrowser(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no chromium here")
	return ""
}

// notice keeps what a page without faults does not say: exceptions, errors on
// the console, violations of the content security policy. That an answer of the
// API was an error is none; the page tells it in words.
func (p *page) notice(event any) {
	fault := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		fault = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			fault += " " + e.ExceptionDetails.Exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		fault = fmt.Sprintf("console %s", e.Type)
	case *log.EventEntryAdded:
		if e.Entry.Source != log.EntrySourceNetwork {
			fault = fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text)
		}
	}
	if fault != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.faults = append(p.faults, fault)
	}
}

func (p *page) wantNoFaults() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.faults) > 0 {
		p.t.Errorf("the browser complains:\n%s", strings.Join(p.faults, "\n"))
	}
}

func (p *page) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) navigate(url string) {
	p.t.Helper()
	p.must(chromedp.Do(p.ctx, chromedp.Navigate(url)))
}

// run evaluates JavaScript in the page.
func run[T any](p *page, script string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
	return v
}

// until waits for a condition in JavaScript, looking whenever the page changes
// or gives way to another.
func (p *page) until(condition string) {
	p.t.Helper()
	look := chromedp.Evaluate[bool](`new Promise((done) => {
		const look = () => { if (`+condition+`) { seen.disconnect(); done(true); } };
		const seen = new MutationObserver(look);
		seen.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
		look();
	})`, chromedp.EvalAwaitPromise)
	_, err := chromedp.Run(p.ctx, look)
	for err != nil && p.ctx.Err() == nil && strings.Contains(err.Error(), "navigated") {
		_, err = chromedp.Run(p.ctx, look)
	}
	if err != nil {
		p.t.Fatalf("the page never has %s: %v", condition, err)
	}
}

// allowClipboard answers what a browser without a person in front cannot ask.
func (p *page) allowClipboard() {
	p.t.Helper()
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		_, err := chromedp.CallBrowser(p.ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted,
		})
		p.must(err)
	}
}

// shows waits until the element's visible text contains all of these.
func (p *page) shows(selector string, texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		p.until(fmt.Sprintf("document.querySelector(%q)?.innerText.includes(%q)", selector, text))
	}
}

// lacks waits until the element's visible text does not contain this.
func (p *page) lacks(selector, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("!document.querySelector(%q).innerText.includes(%q)", selector, text))
}

// fill writes into the fields of a form and sends it with its button.
func (p *page) fill(form string, fields map[string]string) {
	p.t.Helper()
	for name, value := range fields {
		run[bool](p, fmt.Sprintf("document.querySelector(%q).elements[%q].value = %q, true", form, name, value))
	}
	p.click(form + " button:not([type=button])")
}

func (p *page) click(selector string) {
	p.t.Helper()
	run[bool](p, fmt.Sprintf("document.querySelector(%q).click(), true", selector))
}

// press clicks the first button inside whose text, told to screen readers too,
// begins so.
func (p *page) press(inside, text string) {
	p.t.Helper()
	run[bool](p, fmt.Sprintf("[...document.querySelectorAll(%q)].find((b) => b.textContent.startsWith(%q)).click(), true", inside+" button", text))
}

// picture keeps a screenshot with the test's artifacts.
func (p *page) picture(name, scheme string, width, height int64) {
	p.t.Helper()
	p.view(scheme, width, height)
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	p.must(err)
	p.must(os.WriteFile(filepath.Join(p.t.ArtifactDir(), name+".png"), png, 0o644))
}

func (p *page) view(scheme string, width, height int64) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	p.must(err)
	p.must(chromedp.Do(p.ctx, chromedp.EmulateViewport(width, height)))
}

// serve serves the node's API and pages on loopback.
func serve(t *testing.T, node rest.Node, opts rest.Options) string {
	t.Helper()
	h, err := rest.New(node, opts)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Config = rest.NewServer(h)
	s.Start()
	t.Cleanup(func() {
		_ = h.Close() // streams first, or the server waits for them
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL + "/"
}
