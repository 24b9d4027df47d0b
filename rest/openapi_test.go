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
		"put /api/v1/records/{name}":               "200 201 400 403 409 412 413 422",
		"delete /api/v1/records/{name}":            "204 404 422",
		"get /api/v1/records/{owner}/{name}":       "200 206 304 404 409 412 416 422 504",
		"head /api/v1/records/{owner}/{name}":      "200 404",
		"post /api/v1/values":                      "201 400 413",
		"get /api/v1/values/{id}":                  "200 206 304 404 412 416 422 504",
		"head /api/v1/values/{id}":                 "200 404",
		"delete /api/v1/values/{id}":               "204 404 422",
		"put /api/v1/dids/{did}":                   "200 201 400 403 409 410 413 422 501",
		"get /api/v1/dids/{did}":                   "200 304 400 404 410 501 504",
		"head /api/v1/dids/{did}":                  "200 410",
		"delete /api/v1/dids/{did}":                "204 400 403 409 410 501",
		"post /api/v1/blobs":                       "201 400 408 422 503",
		"get /api/v1/blobs":                        "200 422",
		"get /api/v1/blobs/{id}":                   "200 206 304 404 412 416 422 502 503 504",
		"head /api/v1/blobs/{id}":                  "200 206 304 404 416 504",
		"delete /api/v1/blobs/{id}":                "204 404 422",
		"get /api/v1/blobs/{id}/seeders":           "200 422 504",
		"get /api/v1/events":                       "200 503",
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

// A raw route is in the document as it is in the mux, its query parameters too;
// its body may be anything.
func TestOpenAPIOfRawRoutes(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{})
	paths := document(t, Options{})["paths"].(map[string]any)
	for pattern := range h.raw {
		method, path, _ := strings.Cut(pattern, " ")
		item, _ := paths[path].(map[string]any)
		op, ok := item[strings.ToLower(method)].(map[string]any)
		if !ok || op["summary"] == nil || op["tags"] == nil {
			t.Errorf("%s is not documented: %v", pattern, op)
		}
		if _, hasBody := op["requestBody"].(map[string]any); hasBody != (method == "PUT" || method == "POST") {
			t.Errorf("%s: body %v", pattern, hasBody)
		}
	}
	text := fmt.Sprint(paths["/api/v1/records/{name}"].(map[string]any)["put"])
	for _, want := range []string{"name:ttl_s", "name:If-Match", "application/octet-stream", "#/components/schemas/RecordVersion"} {
		if !strings.Contains(text, want) {
			t.Errorf("putRecord has no %s: %s", want, text)
		}
	}
	identifier := fmt.Sprint(paths["/1.0/identifiers/{did}"].(map[string]any)["get"])
	for _, want := range []string{"400:", "404:", "406:", "410:", "500:", "501:", "application/did-resolution", "application/did:", olderResolutionType} {
		if !strings.Contains(identifier, want) {
			t.Errorf("identifiers have no %s: %s", want, identifier)
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
