package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

const apiDescription = `Names, services, peers and contents of a mesh, as seen by one of its nodes.

Errors are problems of RFC 9457 with a stable type, urn:mcc:error:{code}. Times are RFC 3339 in UTC;
durations carry their unit in the name. Lists take limit and cursor and answer next while there is more.`

// apiConfig keeps huma to what is wanted of it: no documents of its own, no
// $schema members, errors in our shape.
func (h *Handler) apiConfig() huma.Config {
	c := huma.DefaultConfig("MCC", h.opts.Version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil
	c.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}
	c.Transformers = []huma.Transformer{problemTransformer}
	c.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[Problem]())
	c.Info.Description = apiDescription
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.Servers = []*huma.Server{{URL: "/", Description: "the node that serves this document"}}
	c.Tags = []*huma.Tag{
		{Name: "node", Description: "The node itself"},
		{Name: "services", Description: "What this node offers"},
		{Name: "discovery", Description: "Who offers what in the mesh"},
		{Name: "listeners", Description: "Local ports that lead to services"},
		{Name: "records", Description: "Small signed records and values in the mesh"},
		{Name: "dids", Description: "Decentralized identifiers and their documents"},
		{Name: "blobs", Description: "Contents of any size under the hash of their bytes"},
		{Name: "channels", Description: "Encrypted streams to nodes and services"},
		{Name: "forward", Description: "HTTP to services"},
		{Name: "operation", Description: "Health, metrics and login"},
	}
	if h.tokens.required() {
		c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
			"token":   {Type: "http", Scheme: "bearer", Description: "The node's token"},
			"session": {Type: "apiKey", In: "cookie", Name: sessionCookie, Description: "Given by POST /session"},
		}
		c.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	}
	return c
}

// registerDocument adds the plain handlers to the document and serves it. It is
// written once: huma would write it at the first request, unsynchronised.
func (h *Handler) registerDocument(api huma.API) error {
	doc := api.OpenAPI()
	h.documentForward(doc)
	h.documentOperation(doc)
	h.documentRaw(doc)
	text, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("write OpenAPI document: %w", err)
	}
	h.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	})
	return nil
}

func (h *Handler) documentForward(doc *huma.OpenAPI) {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		doc.AddOperation(&huma.Operation{
			OperationID: "forward" + method, Method: method, Path: apiPrefix + "/forward/{service}/{path}", Tags: []string{"forward"},
			Summary: "HTTP to a service",
			Description: "Passes the request to a provider of the service: method, raw path (any number of segments, or none) " +
				"and query, headers, body, upgrades and trailers. The answer is the service's, with a " +
				"Content-Security-Policy of sandbox added. The same service is served at / under the Host {service}.mcc " +
				"or, for browsers, {service}.mcc.localhost, and to clients that use this node as HTTP proxy for *.mcc.",
			Parameters: []*huma.Param{
				textParam("service", "path", "The service, with or without a consortium", "files"),
				textParam("path", "path", "Path at the service", "index.html"),
				textParam("Mcc-Policy", "header", "Chooses among providers: nearest, random, round-robin, weighted or sticky", "nearest"),
				textParam("Mcc-Node", "header", "Only this provider, by id or label", ""),
				textParam("Mcc-Tag", "header", "Only providers with this tag", ""),
			},
			Responses: h.responses(doc, http.StatusOK, "Whatever the service answers", "*/*", &huma.Schema{},
				http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout),
		})
	}
}

func (h *Handler) documentOperation(doc *huma.OpenAPI) {
	open := []map[string][]string{} // needs no token
	object := &huma.Schema{Type: "object"}
	tags := []string{"operation"}
	doc.AddOperation(&huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Tags: tags, Security: open,
		Summary: "Whether the process serves", Responses: h.responses(doc, http.StatusOK, "It does", "application/json", object),
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: tags, Security: open,
		Summary: "Whether the node takes part in the mesh", Description: "503 comes with reasons.",
		Responses: h.responses(doc, http.StatusOK, "It does", "application/json", object, http.StatusServiceUnavailable),
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "openSession", Method: http.MethodPost, Path: "/session", Tags: tags, Security: []map[string][]string{{"token": {}}, {}},
		Summary: "Turn the token into a cookie", Description: "For browsers; the cookie is HttpOnly and SameSite=Strict and holds 12 hours.",
		Responses: h.responses(doc, http.StatusNoContent, "The cookie is set", "", nil, http.StatusUnauthorized),
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "endSession", Method: http.MethodDelete, Path: "/session", Tags: tags, Security: open,
		Summary: "End the session", Responses: h.responses(doc, http.StatusNoContent, "The cookie is void", "", nil),
	})
	if h.opts.Monitoring {
		doc.AddOperation(&huma.Operation{
			OperationID: "metrics", Method: http.MethodGet, Path: "/metrics", Tags: tags,
			Summary: "Prometheus metrics", Responses: h.responses(doc, http.StatusOK, "Text format", "text/plain", &huma.Schema{Type: "string"}),
		})
	}
}

// responses documents one success and the problems of a plain handler.
func (h *Handler) responses(doc *huma.OpenAPI, status int, what, mediaType string, schema *huma.Schema, problems ...int) map[string]*huma.Response {
	success := &huma.Response{Description: what}
	if mediaType != "" {
		success.Content = map[string]*huma.MediaType{mediaType: {Schema: schema}}
	}
	out := map[string]*huma.Response{strconv.Itoa(status): success}
	problems = append(problems, http.StatusForbidden)
	if h.tokens.required() {
		problems = append(problems, http.StatusUnauthorized)
	}
	ref := doc.Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	for _, p := range problems {
		out[strconv.Itoa(p)] = &huma.Response{
			Description: http.StatusText(p), Content: map[string]*huma.MediaType{problemType: {Schema: ref}},
		}
	}
	return out
}

func textParam(name, in, what, example string) *huma.Param {
	p := &huma.Param{Name: name, In: in, Description: what, Required: in == "path", Schema: &huma.Schema{Type: "string"}}
	if example != "" {
		p.Example = example
	}
	return p
}

func numberParam(name, in, what string) *huma.Param {
	return &huma.Param{Name: name, In: in, Description: what, Schema: &huma.Schema{Type: "integer"}}
}
