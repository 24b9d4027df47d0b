package rest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// document fetches and parses the OpenAPI document.
func document(t *testing.T, opts Options) map[string]any {
	t.Helper()
	w := do(t, newHandler(t, newFakeNode(), opts), "GET /openapi.json", "")
	var doc map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 {
		t.Fatalf("%d %v", w.Code, err)
	}
	return doc
}

func everything() Options {
	level := zap.NewAtomicLevel()
	return Options{Monitoring: true, LogLevel: &level}
}

// Every call of the contract that this node has is in the document, with the
// codes it may answer.
func TestOpenAPI(t *testing.T) {
	doc := document(t, everything())
	if v, _ := doc["openapi"].(string); !regexp.MustCompile(`^3\.1\.\d+$`).MatchString(v) {
		t.Errorf("openapi %q", v)
	}
	if info := doc["info"].(map[string]any); info["title"] != "MCC" || info["version"] != "1.2.3" {
		t.Errorf("info %v", info)
	}
	paths := doc["paths"].(map[string]any)
	for call, codes := range map[string]string{
		"get /api/v1/node":                         "200 403",
		"get /api/v1/peers":                        "200 403 422",
		"get /api/v1/services":                     "200 422",
		"post /api/v1/services":                    "201 400 403 409 413 415 422 500",
		"get /api/v1/services/{name}":              "200 404",
		"delete /api/v1/services/{name}":           "204 404",
		"get /api/v1/discovery/{name}":             "200 409 422 503 504",
		"get /api/v1/discovery/{name}/watch":       "200 422 503",
		"get /api/v1/listeners":                    "200",
		"post /api/v1/listeners":                   "201 409 422",
		"get /api/v1/listeners/{id}":               "200 404",
		"delete /api/v1/listeners/{id}":            "204 404",
		"get /api/v1/loglevel":                     "200",
		"put /api/v1/loglevel":                     "200 400 422",
		"get /api/v1/forward/{service}/{path}":     "200 502 503 504",
		"post /api/v1/forward/{service}/{path}":    "200 502 503 504",
		"put /api/v1/forward/{service}/{path}":     "200",
		"patch /api/v1/forward/{service}/{path}":   "200",
		"delete /api/v1/forward/{service}/{path}":  "200",
		"head /api/v1/forward/{service}/{path}":    "200",
		"options /api/v1/forward/{service}/{path}": "200",
		"get /healthz":                             "200",
		"get /readyz":                              "200 503",
		"get /metrics":                             "200",
		"post /session":                            "204 401",
		"delete /session":                          "204",
	} {
		method, path, _ := strings.Cut(call, " ")
		item, _ := paths[path].(map[string]any)
		op, ok := item[method].(map[string]any)
		if !ok {
			t.Errorf("no %s", call)
			continue
		}
		if op["operationId"] == "" || op["summary"] == "" || op["summary"] == nil {
			t.Errorf("%s: %v", call, op)
		}
		responses := op["responses"].(map[string]any)
		for code := range strings.FieldsSeq(codes) {
			if responses[code] == nil {
				t.Errorf("%s: no %s", call, code)
			}
		}
		for code, response := range responses {
			if code < "400" {
				continue
			}
			ref := fmt.Sprint(response.(map[string]any)["content"])
			if ref != "map[application/problem+json:map[schema:map[$ref:#/components/schemas/Problem]]]" {
				t.Errorf("%s %s: %s", call, code, ref)
			}
		}
	}
}

// References lead somewhere, ids are unique, path parameters are declared, and
// every field says what it is.
func TestOpenAPIIsSound(t *testing.T) {
	doc := document(t, everything())
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	text, _ := json.Marshal(doc)
	for _, m := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(string(text), -1) {
		name, ok := strings.CutPrefix(m[1], "#/components/schemas/")
		if !ok || schemas[name] == nil {
			t.Errorf("dangling %s", m[1])
		}
	}
	for name, s := range schemas {
		for field, p := range s.(map[string]any)["properties"].(map[string]any) {
			prop := p.(map[string]any)
			if prop["description"] == nil && prop["$ref"] == nil {
				t.Errorf("%s.%s has no description", name, field)
			}
		}
	}
	if schemas["ErrorModel"] != nil {
		t.Error("huma's own error shape is in the document")
	}
	ids := map[string]bool{}
	for path, item := range doc["paths"].(map[string]any) {
		for method, o := range item.(map[string]any) {
			op := o.(map[string]any)
			id := op["operationId"].(string)
			if ids[id] {
				t.Errorf("operationId %s twice", id)
			}
			ids[id] = true
			declared := fmt.Sprint(op["parameters"])
			for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if !strings.Contains(declared, "name:"+m[1]) {
					t.Errorf("%s %s: {%s} is not declared", method, path, m[1])
				}
			}
		}
	}
	peer := schemas["Peer"].(map[string]any)["properties"].(map[string]any)
	if ex := peer["rtt_ms"].(map[string]any)["examples"]; ex == nil {
		t.Error("no examples")
	}
	if doc["security"] != nil {
		t.Error("security without a token")
	}
}

func TestOpenAPIWithToken(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{Token: testToken})
	w := do(t, h, "GET /openapi.json", "", "Authorization: Bearer "+testToken)
	for _, want := range []string{`"security":[{"token":[]},{"session":[]}]`, `"scheme":"bearer"`, `"401":`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(w.Body.String(), "/metrics") || strings.Contains(w.Body.String(), "loglevel") {
		t.Error("calls that are off are documented")
	}
}

func TestPages(t *testing.T) {
	f := newFakeNode()
	f.info.Consortium = `<script>alert(1)</script>`
	f.notReady = []string{"<b>late</b>"}
	h := newHandler(t, f, everything())
	w := do(t, h, "GET /", "")
	text := w.Body.String()
	for _, want := range []string{`href="swagger/"`, `href="openapi.json"`, `href="metrics"`, "<style>" + style + "</style>", "not ready", "&lt;b&gt;late"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, "<script") || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%v %s", w.Header(), text)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "style-src '"+hashOf(style)+"'") {
		t.Errorf("CSP %q", csp)
	}
	if w := do(t, h, "GET /swagger", ""); w.Code != 308 || w.Header().Get("Location") != "swagger/" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w = do(t, h, "GET /swagger/", "")
	if strings.Contains(w.Body.String(), "://") {
		t.Error("Swagger UI loads from elsewhere")
	}
	// All that the page names is there, of the right kind.
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		file := do(t, h, "GET /swagger/"+m[1], "")
		ct := file.Header().Get("Content-Type")
		kind := map[string]string{"css": "text/css", "js": "javascript", "png": "image/png"}[m[1][strings.LastIndex(m[1], ".")+1:]]
		if file.Code != 200 || file.Body.Len() == 0 || !strings.Contains(ct, kind) {
			t.Errorf("%s: %d %q, %d bytes", m[1], file.Code, ct, file.Body.Len())
		}
	}
	bundle := do(t, h, "GET /swagger/swagger-ui-bundle.js", "")
	if !strings.Contains(bundle.Body.String(), "SwaggerUIBundle") {
		t.Error("the bundle is not the bundle")
	}
}
