package rest

import (
	"bytes"
	"context"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	mcc "github.com/staex-mcc/mcc"
)

// Value is the answer of POST /api/v1/values.
type Value struct {
	ID string `json:"id" doc:"BLAKE3 hash of the content in hexadecimal" example:"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"`
}

// byHash is the input of operations on what is named by its hash.
type byHash struct {
	ID string `path:"id" maxLength:"64" doc:"BLAKE3 hash of the content in hexadecimal" example:"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"`
}

func (h *Handler) registerValues(api huma.API) {
	tags := []string{"records"}
	register(h, api, huma.Operation{
		OperationID: "dropValue", Method: http.MethodDelete, Path: "/values/{id}", Tags: tags,
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
		Summary: "Stop keeping a value alive", Description: "It lapses at its holders unless another node keeps it.",
	}, func(ctx context.Context, in *byHash) (*nothing, error) {
		id, err := mcc.ParseHash(in.ID)
		if err != nil {
			return nil, err
		}
		return nil, h.node.DropValue(ctx, id)
	})
	h.handleRaw(rawRoute{
		op: huma.Operation{
			OperationID: "putValue", Method: http.MethodPost, Path: apiPrefix + "/values", Tags: tags,
			Summary: "Store a value under the hash of its content", Description: "The body is the value, of any media type.",
			RequestBody: rawBody("The value, at most 65,536 bytes"),
		},
		answers: h.rawAnswers("application/json", reflect.TypeFor[Value](), []int{http.StatusCreated},
			[]int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusInsufficientStorage}),
		serve: h.putValue,
	})
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		h.handleRaw(rawRoute{
			op: huma.Operation{
				OperationID: strings.ToLower(method) + "Value", Method: method, Path: apiPrefix + "/values/{id}", Tags: tags,
				Summary: "A value by the hash of its content", Description: "It is verified. It never changes and may be kept for ever.",
				Parameters: []*huma.Param{hashParam()},
			},
			answers: h.rawAnswers(bytesType, nil, []int{http.StatusOK, http.StatusPartialContent, http.StatusNotModified},
				[]int{
					http.StatusNotFound, http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable,
					http.StatusUnprocessableEntity, http.StatusGatewayTimeout,
				}),
			serve: h.getValue,
		})
	}
}

func (h *Handler) putValue(w http.ResponseWriter, r *http.Request) {
	value, p := readBody(w, r, mcc.MaxValue)
	if p != nil {
		writeProblem(w, p)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), operationTimeout)
	defer cancel()
	id, err := h.node.PutValue(ctx, value)
	if err != nil {
		h.fail(w, err)
		return
	}
	w.Header().Set("Location", pathTo("values", id.String()))
	w.Header().Set("ETag", entityTag(id.String()))
	h.answerJSON(w, http.StatusCreated, Value{ID: id.String()})
}

func (h *Handler) getValue(w http.ResponseWriter, r *http.Request) {
	id, err := mcc.ParseHash(r.PathValue("id"))
	if err != nil {
		h.fail(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), operationTimeout)
	defer cancel()
	value, err := h.node.GetValue(ctx, id)
	if err != nil {
		h.fail(w, err)
		return
	}
	w.Header().Set("Cache-Control", immutable)
	h.serveContent(w, r, id.String(), inMemory{bytes.NewReader(value)})
}

// hashParam describes the id of what is named by its hash.
func hashParam() *huma.Param {
	return textParam("id", "path", "BLAKE3 hash of the content in hexadecimal", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")
}
