package rest

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity/did"
)

// didType is the media type of DID documents (DID Core 1.0, 6.2).
const didType = "application/did+json"

// DIDVersion is the answer of PUT /api/v1/dids/{did}.
type DIDVersion struct {
	DID     string `json:"did" doc:"The DID" example:"did:mcc:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"`
	Version uint64 `json:"version" doc:"Counts the versions from 1" example:"2"`
}

// byDID is the input of operations on one DID.
type byDID struct {
	DID string `path:"did" maxLength:"2048" doc:"The DID" example:"did:mcc:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"`
}

func (h *Handler) registerDIDs(api huma.API) {
	tags := []string{"dids"}
	register(h, api, huma.Operation{
		OperationID: "deactivateDID", Method: http.MethodDelete, Path: "/dids/{did}", Tags: tags, DefaultStatus: http.StatusNoContent,
		Errors:  []int{http.StatusBadRequest, http.StatusConflict, http.StatusGone, http.StatusNotImplemented},
		Summary: "Give this node's did:mcc up for good",
	}, func(ctx context.Context, in *byDID) (*nothing, error) {
		if p := checkDID(in.DID); p != nil {
			return nil, p
		}
		return nil, h.node.DeactivateDID(ctx, in.DID)
	})
	h.handleRaw(rawRoute{
		op: huma.Operation{
			OperationID: "putDID", Method: http.MethodPut, Path: apiPrefix + "/dids/{did}", Tags: tags,
			Summary: "Put the next version of the document of this node's did:mcc",
			Description: "The body is a DID document (W3C DID Core, JSON), of any media type. 201 is the first version, " +
				"422 a document that is not valid, 403 the DID of somebody else.",
			RequestBody: rawBody("The document, at most 65,535 bytes"),
			Parameters:  []*huma.Param{didParam()},
		},
		answers: h.rawAnswers("application/json", reflect.TypeFor[DIDVersion](), []int{http.StatusOK, http.StatusCreated}, []int{
			http.StatusBadRequest, http.StatusConflict, http.StatusGone, http.StatusRequestEntityTooLarge,
			http.StatusUnprocessableEntity, http.StatusNotImplemented, http.StatusInsufficientStorage,
		}),
		serve: h.putDID,
	})
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		h.handleRaw(rawRoute{
			op: huma.Operation{
				OperationID: strings.ToLower(method) + "DID", Method: method, Path: apiPrefix + "/dids/{did}", Tags: tags,
				Summary: "The document of a DID",
				Description: "Of a did:mcc from the mesh, its version in ETag; of a did:key from the DID. 410 is a DID that was given " +
					"up, 501 another method. /1.0/identifiers/{did} is the same as W3C DID Resolution.",
				Parameters: []*huma.Param{didParam()},
			},
			answers: h.rawAnswers(didType, nil, []int{http.StatusOK, http.StatusPartialContent, http.StatusNotModified}, []int{
				http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusPreconditionFailed,
				http.StatusRequestedRangeNotSatisfiable, http.StatusNotImplemented, http.StatusGatewayTimeout,
			}),
			serve: h.getDID,
		})
	}
}

func (h *Handler) putDID(w http.ResponseWriter, r *http.Request) {
	document, p := readBody(w, r, mcc.MaxValue)
	name := r.PathValue("did")
	if p == nil {
		p = checkDID(name)
	}
	if p == nil && len(r.Header["If-Match"])+len(r.Header["If-None-Match"]) > 0 {
		p = newProblem(http.StatusNotImplemented, "unsupported", "a DID document cannot be put under a condition")
	}
	if p != nil {
		writeProblem(w, p)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), operationTimeout)
	defer cancel()
	put, err := h.node.PutDID(ctx, name, document)
	if err != nil {
		h.fail(w, err)
		return
	}
	status := http.StatusOK
	if put.Version == 1 {
		status = http.StatusCreated
		w.Header().Set("Location", pathTo("dids", put.DID))
	}
	w.Header().Set("ETag", entityTag(strconv.FormatUint(put.Version, 10)))
	h.answerJSON(w, status, DIDVersion{DID: put.DID, Version: put.Version})
}

func (h *Handler) getDID(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), operationTimeout)
	defer cancel()
	found, err := h.node.ResolveDID(ctx, r.PathValue("did"))
	switch {
	case errors.Is(err, mcc.ErrInvalid):
		writeProblem(w, malformedDID(err))
		return
	case err != nil:
		h.fail(w, err)
		return
	}
	tag := ""
	if found.Version > 0 {
		tag = strconv.FormatUint(found.Version, 10)
	}
	w.Header().Set("Content-Type", didType)
	w.Header().Set("Cache-Control", "no-cache")
	h.serveContent(w, r, tag, inMemory{bytes.NewReader(found.Document)})
}

// checkDID tells a DID that is none, 400, from a document that is none, 422,
// for which the node has the same error.
func checkDID(name string) *Problem {
	d, err := did.Parse(name)
	if err == nil && d.Method() == did.MethodMCC {
		_, err = d.Node()
	}
	if err != nil {
		return malformedDID(err)
	}
	return nil
}

func malformedDID(err error) *Problem {
	return newProblem(http.StatusBadRequest, "malformed", err.Error())
}

func didParam() *huma.Param {
	return textParam("did", "path", "The DID", "did:mcc:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK")
}
