package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"

	mcc "github.com/staex-mcc/mcc"
)

const (
	apiPrefix = "/api/v1"
	// maxJSON bounds an answer in JSON, which is held in memory.
	maxJSON = 16 << 20
)

// path joins escaped segments below the API's root. Dots alone would be cleaned
// away as those of a path.
func path(segments ...string) string {
	var b strings.Builder
	b.WriteString(apiPrefix)
	for _, s := range segments {
		b.WriteByte('/')
		if s == "." || s == ".." {
			b.WriteString(strings.ReplaceAll(s, ".", "%2E"))
			continue
		}
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// newRequest makes a request that shows the token.
func (c *Client) newRequest(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", mcc.ErrInvalid, err)
	}
	c.authorize(r.Header)
	return r, nil
}

func (c *Client) authorize(hd http.Header) {
	if c.token != "" {
		hd.Set("Authorization", "Bearer "+c.token)
	}
}

// send does a request. An answer that is no success is its error; the body of a
// success is the caller's to close.
func (c *Client) send(r *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.lost(r.Context(), err)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem)) // a part will do
	return nil, readProblem(resp.StatusCode, said)
}

// lost is why a request or its answer failed on the way.
func (c *Client) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask %s: %w", c.name, context.Cause(ctx))
	}
	if asked, ok := errors.AsType[*url.Error](err); ok {
		err = asked.Err // its URL is not that of a socket
	}
	return fmt.Errorf("ask %s: %w: %w", c.name, mcc.ErrUnreachable, err)
}

// foreign is an answer that the API would not give.
func (c *Client) foreign(err error) error {
	return fmt.Errorf("the answer of %s is not the API's: %w", c.name, err)
}

// call sends in as JSON and reads the answer into out; nil is none of it.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel, err := c.alive(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%w: %w", mcc.ErrInvalid, err)
		}
		body = bytes.NewReader(text)
	}
	r, err := c.newRequest(ctx, method, path, body)
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.send(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return c.decode(ctx, resp, out)
}

// decode reads a whole answer in JSON.
func (c *Client) decode(ctx context.Context, resp *http.Response, out any) error {
	text, err := c.readAll(ctx, resp, maxJSON)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(text, out); err != nil {
		return c.foreign(err)
	}
	return nil
}

// readAll reads a body of at most limit bytes.
func (c *Client) readAll(ctx context.Context, resp *http.Response, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, c.lost(ctx, err)
	case int64(len(content)) > limit:
		return nil, fmt.Errorf("the answer of %s: %w: more than %d bytes", c.name, mcc.ErrTooLarge, limit)
	}
	return content, nil
}

// raw sends bytes as they are and returns the whole answer. The body of said has
// been read.
func (c *Client) raw(ctx context.Context, method, path string, header http.Header, body []byte) (said *http.Response, text []byte, err error) {
	ctx, cancel, err := c.alive(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer cancel()
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	r, err := c.newRequest(ctx, method, path, content)
	if err != nil {
		return nil, nil, err
	}
	maps.Copy(r.Header, header)
	if body != nil {
		r.Header.Set("Content-Type", "application/octet-stream")
	}
	resp, err := c.send(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	text, err = c.readAll(ctx, resp, maxContent)
	return resp, text, err
}

// maxContent bounds a record, value or DID document, and what is said of one
// that was put.
const maxContent = mcc.MaxValue + 1024
