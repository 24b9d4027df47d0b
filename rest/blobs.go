package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	mcc "github.com/staex-mcc/mcc"
)

// StoredBlob is the answer of POST /api/v1/blobs.
type StoredBlob struct {
	ID   string `json:"id" doc:"BLAKE3 hash of the content in hexadecimal, as b3sum prints it" example:"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"`
	Size int64  `json:"size" doc:"Bytes" example:"1048576"`
	Name string `json:"name" doc:"What it was put as on this node; empty if it was not" example:"film.mp4"`
}

// Blob is a BLOB that this node has.
type Blob struct {
	StoredBlob
	Added time.Time `json:"added" doc:"Since when, UTC" example:"2026-01-02T15:04:05Z"`
}

// BlobList is the answer of GET /api/v1/blobs.
type BlobList struct {
	Blobs []Blob `json:"blobs" nullable:"false" doc:"By id"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent on the last"`
}

// Seeder is a node that says it has a BLOB.
type Seeder struct {
	Node  string `json:"node" doc:"Id of the node" example:"z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"`
	Label string `json:"label" doc:"Its name; empty if this node does not know it" example:"gate"`
}

// SeederList is the answer of GET /api/v1/blobs/{id}/seeders.
type SeederList struct {
	Seeders []Seeder `json:"seeders" nullable:"false" doc:"Nobody is []"`
}

func (h *Handler) registerBlobs(api huma.API) {
	tags := []string{"blobs"}
	register(h, api, huma.Operation{
		OperationID: "listBlobs", Method: http.MethodGet, Path: "/blobs", Tags: tags,
		Summary: "BLOBs that this node has",
	}, h.listBlobs)
	register(h, api, huma.Operation{
		OperationID: "listSeeders", Method: http.MethodGet, Path: "/blobs/{id}/seeders", Tags: tags,
		Errors: []int{http.StatusGatewayTimeout}, Summary: "Nodes that say they have the whole BLOB",
	}, h.listSeeders)
	register(h, api, huma.Operation{
		OperationID: "deleteBlob", Method: http.MethodDelete, Path: "/blobs/{id}", Tags: tags,
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
		Summary: "Remove this node's copy of a BLOB", Description: "The node stops announcing it. Downloads under way go on.",
	}, func(ctx context.Context, in *byHash) (*nothing, error) {
		id, err := mcc.ParseHash(in.ID)
		if err != nil {
			return nil, err
		}
		return nil, h.node.DeleteBlob(ctx, id)
	})
	h.registerBlobContent(tags)
}

func (h *Handler) registerBlobContent(tags []string) {
	h.handleRaw(rawRoute{
		op: huma.Operation{
			OperationID: "putBlob", Method: http.MethodPost, Path: apiPrefix + "/blobs", Tags: tags,
			Summary: "Store a BLOB",
			Description: "The body is the content, of any size and media type; it is stored while it arrives. 201 says that it is " +
				"durable here. A body that breaks off stores nothing, and one that stands still for 60 s is cut (408).",
			RequestBody: rawBody("The content"),
			Parameters:  []*huma.Param{textParam("name", "query", "A name for people, at most 255 bytes", "film.mp4")},
		},
		answers: h.rawAnswers("application/json", reflect.TypeFor[StoredBlob](), []int{http.StatusCreated},
			[]int{http.StatusBadRequest, http.StatusRequestTimeout, http.StatusUnprocessableEntity, http.StatusServiceUnavailable, http.StatusInsufficientStorage}),
		serve: h.putBlob,
	})
	for method, serve := range map[string]http.HandlerFunc{http.MethodGet: h.getBlob, http.MethodHead: h.headBlob} {
		h.handleRaw(rawRoute{
			op: huma.Operation{
				OperationID: strings.ToLower(method) + "Blob", Method: method, Path: apiPrefix + "/blobs/{id}", Tags: tags,
				Summary: "A BLOB that is here or at a seeder",
				Description: "Streams while it is fetched and verified, and only as fast as the client reads; one that reads nothing " +
					"for 60 s is cut. A content that cannot be read to its end breaks the connection. Knows Range and If-Range.",
				Parameters: []*huma.Param{
					hashParam(), textParam("Range", "header", "Parts of the content, at most 64", "bytes=0-1023"),
				},
			},
			answers: h.rawAnswers(bytesType, nil, []int{http.StatusOK, http.StatusPartialContent, http.StatusNotModified}, []int{
				http.StatusNotFound, http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable, http.StatusUnprocessableEntity,
				http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusInsufficientStorage,
			}),
			serve: serve,
		})
	}
}

func (h *Handler) listBlobs(ctx context.Context, in *Page) (*body[BlobList], error) {
	out := BlobList{Blobs: []Blob{}}
	for info, err := range h.node.ListBlobs(ctx) {
		if err != nil {
			return nil, err
		}
		b := blobJSON(info)
		if b.ID <= in.Cursor {
			continue
		}
		if len(out.Blobs) == in.Limit {
			out.Next = out.Blobs[in.Limit-1].ID
			break
		}
		out.Blobs = append(out.Blobs, b)
	}
	return &body[BlobList]{out}, nil
}

func (h *Handler) listSeeders(ctx context.Context, in *byHash) (*body[SeederList], error) {
	id, err := mcc.ParseHash(in.ID)
	if err != nil {
		return nil, err
	}
	seeders, err := h.node.Seeders(ctx, id)
	if err != nil {
		return nil, err
	}
	return &body[SeederList]{SeederList{list(seeders, func(s mcc.Seeder) Seeder {
		return Seeder{Node: s.Node.String(), Label: s.Label}
	})}}, nil
}

// putBlob stores the body while it arrives.
func (h *Handler) putBlob(w http.ResponseWriter, r *http.Request) {
	if p := h.transfers.begin(); p != nil {
		leaveBody(w)
		writeProblem(w, p)
		return
	}
	defer h.transfers.end()
	up := &upload{rc: http.NewResponseController(w), body: r.Body, stall: h.transfers.stall}
	info, err := h.node.PutBlob(r.Context(), up, mcc.BlobOptions{Name: r.URL.Query().Get("name")})
	if up.err != nil || err != nil {
		leaveBody(w)
	}
	if up.stalled() {
		h.transfers.stalled.Add(1)
	}
	switch {
	case up.err != nil:
		writeProblem(w, bodyProblem(up.err))
	case err != nil:
		h.fail(w, err)
	default:
		w.Header().Set("Location", pathTo("blobs", info.ID.String()))
		w.Header().Set("ETag", entityTag(info.ID.String()))
		h.answerJSON(w, http.StatusCreated, blobJSON(info).StoredBlob)
	}
}

// getBlob sends a BLOB while it is fetched.
func (h *Handler) getBlob(w http.ResponseWriter, r *http.Request) {
	id, err := mcc.ParseHash(r.PathValue("id"))
	if err != nil {
		h.fail(w, err)
		return
	}
	if p := h.transfers.begin(); p != nil {
		writeProblem(w, p)
		return
	}
	defer h.transfers.end()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	blob, err := h.openBlob(ctx, cancel, id)
	if err != nil {
		h.fail(w, err)
		return
	}
	c := &blobContent{blob: blob}
	defer func() {
		cancel(nil)
		if err := c.close(); err != nil {
			h.log.Warn("BLOB not closed", zap.Stringer("id", id), zap.Error(err))
		}
	}()
	describeBlob(w.Header(), blob.Info())
	h.serveContent(w, r, id.String(), c)
}

// openBlob bounds the opening alone: ctx is for all the reading that follows.
func (h *Handler) openBlob(ctx context.Context, cancel context.CancelCauseFunc, id mcc.Hash) (mcc.Blob, error) {
	late := time.AfterFunc(openTimeout, func() { cancel(context.DeadlineExceeded) })
	blob, err := h.node.OpenBlob(ctx, id)
	late.Stop()
	cause := context.Cause(ctx)
	if cause == nil {
		return blob, err
	}
	if err == nil {
		_ = blob.Close() // nothing has been read
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return nil, err // the node has a reason of its own
	}
	return nil, fmt.Errorf("open BLOB %s: %w", id, cause)
}

func (h *Handler) headBlob(w http.ResponseWriter, r *http.Request) {
	id, err := mcc.ParseHash(r.PathValue("id"))
	if err != nil {
		h.fail(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), openTimeout)
	defer cancel()
	info, err := h.node.StatBlob(ctx, id)
	if err != nil {
		h.fail(w, err)
		return
	}
	describeBlob(w.Header(), info)
	h.serveContent(w, r, id.String(), newAbsent(info.Size))
}

func describeBlob(hd http.Header, info mcc.BlobInfo) {
	hd.Set("Cache-Control", immutable)
	hd.Set("Content-Disposition", disposition(info.Name))
}

// disposition has browsers save a content, and as what (RFC 6266). The name is
// somebody's: it must not say where, and must not end the parameter.
func disposition(name string) string {
	if name == "" {
		return "attachment"
	}
	name = strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '%' {
			return '_'
		}
		return r
	}, name)
	out := `attachment; filename="` + plain + `"`
	if plain != name {
		// RFC 8187; QueryEscape leaves fewer characters than attr-char.
		out += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return out
}

func blobJSON(i mcc.BlobInfo) Blob {
	return Blob{
		StoredBlob: StoredBlob{ID: i.ID.String(), Size: i.Size, Name: i.Name},
		Added:      i.Added.UTC().Truncate(time.Millisecond),
	}
}
