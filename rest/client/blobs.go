package client

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
)

// blob is one as the API says it.
type blob struct {
	ID    mcc.Hash  `json:"id"`
	Size  int64     `json:"size"`
	Name  string    `json:"name"`
	Added time.Time `json:"added"`
}

// UnmarshalJSON implements json.Unmarshaler. What computes with a size must not
// meet a negative one.
func (b *blob) UnmarshalJSON(text []byte) error {
	type plain blob
	err := json.Unmarshal(text, (*plain)(b))
	if err == nil && b.Size < 0 {
		err = fmt.Errorf("BLOB %s: %w: size %d", b.ID, mcc.ErrDamaged, b.Size)
	}
	return err
}

func (b blob) public() mcc.BlobInfo {
	return mcc.BlobInfo{ID: b.ID, Size: b.Size, Name: b.Name, Local: true, Added: b.Added}
}

// PutBlob implements mcc.Blobs. The content is sent while r is read; nothing of
// it is kept in memory. What the node says it has stored is compared with what
// was sent; a difference is mcc.ErrDamaged.
func (c *Client) PutBlob(ctx context.Context, r io.Reader, o mcc.BlobOptions) (mcc.BlobInfo, error) {
	ctx, cancel, err := c.alive(ctx)
	if err != nil {
		return mcc.BlobInfo{}, err
	}
	defer cancel()
	to := path("blobs")
	if o.Name != "" {
		to += "?name=" + url.QueryEscape(o.Name)
	}
	body := newSource(r)
	defer body.end(ctx)
	req, err := c.newRequest(ctx, http.MethodPost, to, body)
	if err != nil {
		return mcc.BlobInfo{}, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	// A refusal that came while the content is on its way would be lost with the
	// connection.
	req.Header.Set("Expect", "100-continue")
	resp, err := c.send(req)
	if failed := body.failure(); failed != nil {
		if err == nil {
			_ = resp.Body.Close()
		}
		return mcc.BlobInfo{}, fmt.Errorf("put BLOB: %w", failed)
	}
	if err != nil {
		return mcc.BlobInfo{}, err
	}
	defer resp.Body.Close()
	var out blob
	if err := c.decode(ctx, resp, &out); err != nil {
		return mcc.BlobInfo{}, err
	}
	id, size, whole := body.sent()
	if resp.StatusCode != http.StatusCreated || !whole || out.ID != id || out.Size != size {
		return mcc.BlobInfo{}, fmt.Errorf("put BLOB: %w: %s answered %d, %s with %d bytes; sent were %s with %d bytes",
			mcc.ErrDamaged, c.name, resp.StatusCode, out.ID, out.Size, id, size)
	}
	return c.withAge(ctx, out.public())
}

// withAge adds since when the node has a BLOB, which only its list tells.
func (c *Client) withAge(ctx context.Context, info mcc.BlobInfo) (mcc.BlobInfo, error) {
	listed, ok, err := c.listed(ctx, info.ID)
	if ok {
		info.Added = listed.Added
	}
	return info, err
}

// StatBlob implements mcc.Blobs.
func (c *Client) StatBlob(ctx context.Context, id mcc.Hash) (mcc.BlobInfo, error) {
	if info, ok, err := c.listed(ctx, id); ok || err != nil {
		return info, err
	}
	ctx, cancel, err := c.alive(ctx)
	if err != nil {
		return mcc.BlobInfo{}, err
	}
	defer cancel()
	r, err := c.newRequest(ctx, http.MethodHead, path("blobs", id.String()), nil)
	if err != nil {
		return mcc.BlobInfo{}, err
	}
	resp, err := c.send(r)
	if err != nil {
		return mcc.BlobInfo{}, c.headError(ctx, id, err)
	}
	defer resp.Body.Close()
	if resp.ContentLength < 0 {
		return mcc.BlobInfo{}, fmt.Errorf("BLOB %s: the answer of %s has no length", id, c.name)
	}
	return mcc.BlobInfo{ID: id, Size: resp.ContentLength}, nil
}

// headError is why there is no size: a refusal of HEAD has no body, so the first
// byte is asked for to hear the reason. If that fails too, the status tells.
func (c *Client) headError(ctx context.Context, id mcc.Hash, err error) error {
	refused, ok := errors.AsType[*Error](err)
	if !ok || refused.Code != "" {
		return err
	}
	r, failed := c.newRequest(ctx, http.MethodGet, path("blobs", id.String()), nil)
	if failed != nil {
		return err
	}
	r.Header.Set("Range", "bytes=0-0")
	resp, failed := c.send(r)
	if failed == nil {
		_ = resp.Body.Close()
	}
	if said, ok := errors.AsType[*Error](failed); ok && said.Code != "" {
		return said
	}
	refused.Text = fmt.Sprintf("BLOB %s: %s", id, refused.Text)
	refused.Code = headCodes[refused.Status]
	return refused
}

// headCodes are the codes that a status without a reason stands for.
var headCodes = map[int]string{
	http.StatusNotFound: "not-found", http.StatusBadGateway: "unreachable", http.StatusGatewayTimeout: "deadline",
	http.StatusServiceUnavailable: "busy", http.StatusForbidden: "denied", http.StatusUnauthorized: "unauthorized",
	http.StatusInternalServerError: "damaged", http.StatusUnprocessableEntity: "invalid",
	http.StatusInsufficientStorage: "full",
}

// listed finds a BLOB among those of the node: the first of the page that begins
// behind the id before.
func (c *Client) listed(ctx context.Context, id mcc.Hash) (info mcc.BlobInfo, ok bool, err error) {
	part, _, err := c.blobPage(ctx, before(id), 1)
	if err != nil || len(part) == 0 || part[0].ID != id {
		return mcc.BlobInfo{}, false, err
	}
	return part[0], true, nil
}

// before is the cursor just in front of an id.
func before(id mcc.Hash) string {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]--
		if id[i] != 0xff {
			return hex.EncodeToString(id[:])
		}
	}
	return ""
}

func (c *Client) blobPage(ctx context.Context, cursor string, limit int) (part []mcc.BlobInfo, next string, err error) {
	var out struct {
		Blobs []blob
		Next  string
	}
	query := "?limit=" + strconv.Itoa(limit) + "&cursor=" + url.QueryEscape(cursor)
	err = c.call(ctx, "GET", path("blobs")+query, nil, &out)
	if err == nil && out.Next != "" && out.Next <= cursor {
		err = c.foreign(fmt.Errorf("behind %q comes %q", cursor, out.Next))
	}
	return convert(out.Blobs, blob.public), out.Next, err
}

// DeleteBlob implements mcc.Blobs.
func (c *Client) DeleteBlob(ctx context.Context, id mcc.Hash) error {
	return c.call(ctx, "DELETE", path("blobs", id.String()), nil, nil)
}

// ListBlobs implements mcc.Blobs.
func (c *Client) ListBlobs(ctx context.Context) iter.Seq2[mcc.BlobInfo, error] {
	return func(yield func(mcc.BlobInfo, error) bool) {
		cursor := ""
		for {
			part, next, err := c.blobPage(ctx, cursor, pageSize)
			if err != nil {
				yield(mcc.BlobInfo{}, err)
				return
			}
			for _, info := range part {
				if !yield(info, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			cursor = next
		}
	}
}

// Seeders implements mcc.Blobs.
func (c *Client) Seeders(ctx context.Context, id mcc.Hash) ([]mcc.Seeder, error) {
	type seeder struct {
		Node  identity.ID
		Label string
	}
	var out struct{ Seeders []seeder }
	if err := c.call(ctx, "GET", path("blobs", id.String(), "seeders"), nil, &out); err != nil {
		return nil, err
	}
	return convert(out.Seeders, func(s seeder) mcc.Seeder { return mcc.Seeder(s) }), nil
}
