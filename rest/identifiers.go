package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	mcc "github.com/staex-mcc/mcc"
)

// Media types of resolution results.
const (
	// resolutionType is that of DID Resolution 1.0, section 9.
	resolutionType = "application/did-resolution"
	// olderResolutionType is that of the drafts before, which resolvers in use
	// still ask for.
	olderResolutionType = `application/ld+json;profile="https://w3id.org/did-resolution"`
	olderContext        = "https://w3id.org/did-resolution/v1"
)

// resolutionForms are the forms of an answer, the preferred first. The result
// is the default, which the HTTP(S) binding leaves open: it alone can say that
// a DID is deactivated or what went wrong. A bare application/ld+json is the
// document, as in DID Core 1.0.
var resolutionForms = []string{
	resolutionType, "application/did", didType, "application/did+ld+json", "application/json", "application/ld+json", olderResolutionType,
}

// didCondition is an error of a resolution and how it is told.
type didCondition struct {
	err    error
	status int
	name   string
	older  string
}

// didErrors maps conditions to the errors of DID Resolution 1.0, section 11, to
// the status codes of its HTTP(S) binding, 12.1, and to the words of DID Core
// 1.0, 7.1.2, for the older form. The first match wins.
var didErrors = []didCondition{
	{mcc.ErrDamaged, http.StatusInternalServerError, "INVALID_DID_DOCUMENT", "internalError"},
	{mcc.ErrUnsupported, http.StatusNotImplemented, "METHOD_NOT_SUPPORTED", "methodNotSupported"},
	{mcc.ErrInvalid, http.StatusBadRequest, "INVALID_DID", "invalidDid"},
	{mcc.ErrNotFound, http.StatusNotFound, "NOT_FOUND", "notFound"},
	{errNotAcceptable, http.StatusNotAcceptable, "REPRESENTATION_NOT_SUPPORTED", "representationNotSupported"},
	{errOption, http.StatusNotImplemented, "FEATURE_NOT_SUPPORTED", "featureNotSupported"},
	{errBadOption, http.StatusBadRequest, "INVALID_OPTIONS", "invalidOptions"},
	{nil, http.StatusInternalServerError, "INTERNAL_ERROR", "internalError"},
}

// Conditions of a request that is no resolution.
var (
	errNotAcceptable = errors.New("none of the accepted media types is one of a DID document or resolution result")
	errOption        = errors.New("resolution options and DID URLs are not supported: ask for the DID alone")
	errBadOption     = errors.New("unknown resolution option")
)

// knownOptions are options of DID resolution and parameters of DID URLs that
// other resolvers have.
var knownOptions = []string{"versionId", "versionTime", "expandRelativeUrls", "service", "serviceType", "relativeRef", "hl", "noCache"}

// resolution is a DID resolution result (DID Resolution 1.0, section 9).
type resolution struct {
	Context            string          `json:"@context,omitempty"`
	Document           json.RawMessage `json:"didDocument"`
	ResolutionMetadata map[string]any  `json:"didResolutionMetadata"`
	DocumentMetadata   map[string]any  `json:"didDocumentMetadata"`
}

// didError is an error in a result, in the form of RFC 9457.
type didError struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Detail string `json:"detail,omitempty"`
}

func (h *Handler) registerIdentifiers() {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		h.handleRaw(rawRoute{
			op: huma.Operation{
				OperationID: strings.ToLower(method) + "Identifier", Method: method, Path: "/1.0/identifiers/{did}", Tags: []string{"dids"},
				Summary: "Resolve a DID as W3C DID Resolution says",
				Description: "The HTTP(S) binding of DID Resolution 1.0. Accept chooses between the resolution result, " +
					"application/did-resolution (the default), and the document alone, application/did. Errors are results too.",
				Parameters: []*huma.Param{
					didParam(), textParam("Accept", "header", "The wanted form", resolutionType),
				},
			},
			answers: h.identifierAnswers, anyQuery: true, serve: h.identifier,
		})
	}
}

// identifier resolves a DID by the HTTP(S) binding of DID Resolution 1.0, 12.1.
func (h *Handler) identifier(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	w.Header().Set("Cache-Control", "no-cache")
	form, err := resolutionForm(r.Header)
	if err == nil {
		err = checkOptions(r)
	}
	var found mcc.DIDDocument
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), operationTimeout)
		defer cancel()
		found, err = h.node.ResolveDID(ctx, r.PathValue("did"))
	}
	h.writeResolution(w, form, found, err)
}

// resolutionForm is the form that the client prefers, or errNotAcceptable.
func resolutionForm(hd http.Header) (string, error) {
	accept := strings.Join(hd.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return resolutionType, nil
	}
	i := negotiate(parseAccept(accept), resolutionForms)
	if i < 0 {
		return resolutionType, errNotAcceptable
	}
	return resolutionForms[i], nil
}

// checkOptions refuses all resolution options: DID Resolution 1.0, 4.4, has a
// resolver say so rather than leave them out.
func checkOptions(r *http.Request) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	for name := range r.URL.Query() {
		if !slices.Contains(knownOptions, name) {
			return errBadOption
		}
	}
	return errOption
}

// writeResolution answers with the document alone if that is the form and there
// is one, else with a result.
func (h *Handler) writeResolution(w http.ResponseWriter, form string, found mcc.DIDDocument, err error) {
	isResult := form == resolutionType || form == olderResolutionType
	deactivated := found.Deactivated || errors.Is(err, mcc.ErrDeactivated)
	if err == nil && !deactivated && !isResult {
		writeBytes(w, http.StatusOK, form, found.Document)
		return
	}
	if !isResult {
		form = resolutionType
	}
	status, result := http.StatusOK, resolution{ResolutionMetadata: map[string]any{}, DocumentMetadata: map[string]any{}}
	if found.Version > 0 && (err == nil || deactivated) {
		result.DocumentMetadata["versionId"] = strconv.FormatUint(found.Version, 10)
	}
	switch {
	case deactivated:
		status = http.StatusGone
		result.DocumentMetadata["deactivated"] = true
	case err == nil && !json.Valid(found.Document):
		status = result.fail(mcc.ErrDamaged, form, "the document is no JSON")
	case err == nil:
		result.Document = found.Document
		result.ResolutionMetadata["contentType"] = documentType(form)
	default:
		status = result.fail(err, form, h.detailOf(err))
	}
	if form == olderResolutionType {
		result.Context = olderContext
	}
	writeBytes(w, status, form, result.text())
}

// documentType is the media type of the document in a result of a form.
func documentType(form string) string {
	if form == olderResolutionType {
		return didType
	}
	return "application/did"
}

// detailOf is the text of an error that may leave the node.
func (h *Handler) detailOf(err error) string {
	for _, own := range []error{errNotAcceptable, errOption, errBadOption} {
		if errors.Is(err, own) {
			return err.Error()
		}
	}
	return h.problemOf(err).Detail
}

// fail makes r the result of a failed resolution and returns its status code.
func (r *resolution) fail(err error, form, detail string) int {
	e := didErrors[slices.IndexFunc(didErrors, func(e didCondition) bool { return e.err == nil || errors.Is(err, e.err) })]
	r.Document, r.DocumentMetadata = nil, map[string]any{}
	if form == olderResolutionType {
		r.ResolutionMetadata["error"] = e.older
		return e.status
	}
	title := strings.ToLower(strings.ReplaceAll(e.name, "_", " "))
	r.ResolutionMetadata["error"] = didError{Type: "https://www.w3.org/ns/did#" + e.name, Title: title, Detail: detail}
	return e.status
}

func (r *resolution) text() []byte {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil { // BUG: the document has been checked, the rest is ours
		panic("rest: marshal resolution: " + err.Error())
	}
	return text.Bytes()
}

// identifierAnswers describes the answers, of which even errors are results.
func (h *Handler) identifierAnswers(doc *huma.OpenAPI) map[string]*huma.Response {
	out := h.responses(doc, http.StatusOK, "The result, or the document alone", resolutionType, &huma.Schema{Type: "object"})
	result := out["200"].Content[resolutionType]
	for _, form := range resolutionForms {
		out["200"].Content[form] = &huma.MediaType{Schema: &huma.Schema{Type: "object"}}
	}
	for _, status := range []int{http.StatusGone, http.StatusBadRequest, http.StatusNotFound, http.StatusNotAcceptable, http.StatusInternalServerError, http.StatusNotImplemented} {
		out[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status), Content: map[string]*huma.MediaType{resolutionType: result},
		}
	}
	return out
}
