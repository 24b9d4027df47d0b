package rest

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	mcc "github.com/staex-mcc/mcc"
)

// RecordVersion is the answer of PUT /api/v1/records/{name}.
type RecordVersion struct {
	Owner   string    `json:"owner" doc:"Id of the node that signed it" example:"z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"`
	Name    string    `json:"name" doc:"Its name" example:"config"`
	Seq     uint64    `json:"seq" doc:"Counts the versions from 1" example:"3"`
	Expires time.Time `json:"expires" doc:"When holders forget this version unless it is prolonged, UTC" example:"2026-01-02T15:04:05Z"`
}

// recordName is the input of operations on one record of this node.
type recordName struct {
	Name string `path:"name" maxLength:"200" doc:"The record; a / in it is escaped" example:"config"`
}

func (h *Handler) registerRecords(api huma.API) {
	tags := []string{"records"}
	register(h, api, huma.Operation{
		OperationID: "dropRecord", Method: http.MethodDelete, Path: "/records/{name}", Tags: tags,
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
		Summary: "Stop keeping a record of this node", Description: "It is gone here at once and lapses elsewhere within 48 hours.",
	}, func(ctx context.Context, in *recordName) (*nothing, error) {
		return nil, h.node.DropRecord(ctx, in.Name)
	})
	h.handleRaw(rawRoute{
		op: huma.Operation{
			OperationID: "putRecord", Method: http.MethodPut, Path: apiPrefix + "/records/{name}", Tags: tags,
			Summary: "Put the next version of a record of this node",
			Description: "The body is the value, of any media type. 201 is the first version. 412 says that the record is not " +
				"in the state that If-Match or If-None-Match asks for. The answer has the headers of a get as well.",
			RequestBody: rawBody("The value, at most 65,536 bytes"),
			Parameters: []*huma.Param{
				textParam("name", "path", "The record; a / in it is escaped", "config"),
				numberParam("ttl_s", "query", "Seconds until this version lapses, at most 172,800; 0 has the node prolong it as long as it runs"),
				textParam("If-Match", "header", `The sequence that the record must have now, "3" or 3; * is any, 0 is none`, `"3"`),
				textParam("If-None-Match", "header", "* asks that there is no such record", ""),
			},
		},
		answers: h.rawAnswers("application/json", reflect.TypeFor[RecordVersion](), []int{http.StatusOK, http.StatusCreated},
			[]int{http.StatusBadRequest, http.StatusConflict, http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusInsufficientStorage}),
		serve: h.putRecord,
	})
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		h.handleRaw(rawRoute{
			op: huma.Operation{
				OperationID: strings.ToLower(method) + "Record", Method: method, Path: apiPrefix + "/records/{owner}/{name}", Tags: tags,
				Summary: "The newest version of a node's record",
				Description: "The body is the value. ETag and Mcc-Seq are its sequence, Mcc-Owner the id of its owner, Mcc-Expires when " +
					"it lapses, Mcc-Signature the owner's signature in base64.",
				Parameters: []*huma.Param{
					textParam("owner", "path", "The node that signed it, by id, did:key or label", "gate"),
					textParam("name", "path", "The record; a / in it is escaped", "config"),
					textParam("If-None-Match", "header", "Versions that the client has", `"3"`),
				},
			},
			answers: h.rawAnswers(bytesType, nil, []int{http.StatusOK, http.StatusPartialContent, http.StatusNotModified},
				[]int{
					http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable,
					http.StatusUnprocessableEntity, http.StatusGatewayTimeout,
				}),
			serve: h.getRecord,
		})
	}
}

func (h *Handler) putRecord(w http.ResponseWriter, r *http.Request) {
	value, p := readBody(w, r, mcc.MaxValue)
	if p != nil {
		writeProblem(w, p)
		return
	}
	cond, p := readPrecondition(r.Header)
	if p != nil {
		writeProblem(w, p)
		return
	}
	ttl, p := lifetime(r.URL.Query().Get("ttl_s"))
	if p != nil {
		writeProblem(w, p)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), operationTimeout)
	defer cancel()
	put, err := h.putIf(ctx, r.PathValue("name"), value, cond, ttl)
	switch {
	case cond.given && errors.Is(err, mcc.ErrConflict):
		writeProblem(w, newProblem(http.StatusPreconditionFailed, "conflict", err.Error()))
		return
	case err != nil:
		h.fail(w, err)
		return
	}
	status := http.StatusOK
	if put.Seq == 1 {
		status = http.StatusCreated
		w.Header().Set("Location", pathTo("records", put.Owner.String(), put.Name))
	}
	describeRecord(w.Header(), put)
	w.Header().Set("ETag", entityTag(strconv.FormatUint(put.Seq, 10)))
	h.answerJSON(w, status, RecordVersion{Owner: put.Owner.String(), Name: put.Name, Seq: put.Seq, Expires: put.Expires.UTC()})
}

// putIf puts the next version under a condition.
func (h *Handler) putIf(ctx context.Context, name string, value []byte, cond precondition, ttl time.Duration) (mcc.Record, error) {
	if !cond.exists {
		return h.node.PutRecord(ctx, name, value, mcc.RecordOptions{IfSeq: cond.seq, TTL: ttl})
	}
	if err := mcc.CheckRecordName(name); err != nil {
		return mcc.Record{}, err
	}
	now, err := h.node.GetRecord(ctx, h.node.Info().ID.String(), name)
	if errors.Is(err, mcc.ErrNotFound) {
		return mcc.Record{}, fmt.Errorf("record %q: %w: there is none", name, mcc.ErrConflict)
	}
	if err != nil {
		return mcc.Record{}, err
	}
	return h.node.PutRecord(ctx, name, value, mcc.RecordOptions{IfSeq: &now.Seq, TTL: ttl})
}

func (h *Handler) getRecord(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), operationTimeout)
	defer cancel()
	record, err := h.node.GetRecord(ctx, r.PathValue("owner"), r.PathValue("name"))
	if err != nil {
		h.fail(w, err)
		return
	}
	describeRecord(w.Header(), record)
	w.Header().Set("Cache-Control", "no-cache")
	h.serveContent(w, r, strconv.FormatUint(record.Seq, 10), inMemory{bytes.NewReader(record.Value)})
}

// describeRecord writes what a reader needs to verify a record.
func describeRecord(hd http.Header, r mcc.Record) {
	hd.Set("Mcc-Owner", r.Owner.String())
	hd.Set("Mcc-Seq", strconv.FormatUint(r.Seq, 10))
	hd.Set("Mcc-Expires", r.Expires.UTC().Format(time.RFC3339Nano))
	hd.Set("Mcc-Signature", base64.StdEncoding.EncodeToString(r.Sig))
}

// precondition is what a put asks of the record as it stands.
type precondition struct {
	given bool
	// seq must be the record's sequence; 0 is that there is none.
	seq *uint64
	// exists asks for any version.
	exists bool
}

// readPrecondition reads If-Match and If-None-Match (RFC 9110 13.1). A record
// has one version at a time, so a list makes no sense; what makes none must not
// pass as no condition.
func readPrecondition(hd http.Header) (precondition, *Problem) {
	match, has := hd["If-Match"]
	noneMatch, hasNone := hd["If-None-Match"]
	switch {
	case !has && !hasNone:
		return precondition{}, nil
	case has && hasNone:
		return precondition{}, newProblem(http.StatusBadRequest, "malformed", "send If-Match or If-None-Match, not both")
	case hasNone:
		if len(noneMatch) != 1 || strings.TrimSpace(noneMatch[0]) != "*" {
			return precondition{}, newProblem(http.StatusBadRequest, "malformed", "If-None-Match can only be * here")
		}
		return precondition{given: true, seq: new(uint64)}, nil
	}
	if len(match) == 1 && strings.TrimSpace(match[0]) == "*" {
		return precondition{given: true, exists: true}, nil
	}
	seq, ok := sequence(strings.Join(match, ","))
	if !ok {
		return precondition{}, newProblem(http.StatusBadRequest, "malformed", `If-Match: want one sequence, as in "3", or *`)
	}
	return precondition{given: true, seq: &seq}, nil
}

// sequence reads "3" with or without its quotes.
func sequence(text string) (seq uint64, ok bool) {
	text = strings.TrimSpace(text)
	if inner, quoted := strings.CutPrefix(text, `"`); quoted {
		if text, quoted = strings.CutSuffix(inner, `"`); !quoted {
			return 0, false
		}
	}
	seq, err := strconv.ParseUint(text, 10, 64)
	return seq, err == nil && strconv.FormatUint(seq, 10) == text
}

// lifetime reads whole seconds; empty is zero.
func lifetime(text string) (time.Duration, *Problem) {
	if text == "" {
		return 0, nil
	}
	const most = 100 * 365 * 24 * 3600 // the node has a bound of its own; this one fits a Duration
	seconds, err := strconv.ParseUint(text, 10, 64)
	if err != nil || seconds > most {
		p := newProblem(http.StatusUnprocessableEntity, "invalid", "validation failed")
		p.Errors = []FieldError{{Location: "query.ttl_s", Message: "want seconds as a whole number, at most 172800"}}
		return 0, p
	}
	return time.Duration(seconds) * time.Second, nil
}
