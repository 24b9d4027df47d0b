package main

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
)

// apiRequest is one request to the node.
type apiRequest struct {
	method, path string
	body         io.Reader // nil for none
	size         int64     // of the body if it is known, else 0
	header       http.Header
}

// open sends a request and returns the answer, whose body the caller closes. An
// answer that tells of an error becomes one; so does a redirect, which the API
// never sends.
func (c *apiClient) open(ctx context.Context, r apiRequest) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, r.body)
	if err != nil {
		return nil, usage("", "-api: %w", err)
	}
	if r.size > 0 {
		req.ContentLength = r.size
	}
	maps.Copy(req.Header, r.header)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.silent(ctx, err)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the node's answer: %w", err)
	}
	return nil, c.refused(resp.StatusCode, data)
}

// silent is the error of a request without an answer.
func (c *apiClient) silent(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err // its own words repeat method and address
	}
	return fmt.Errorf("node at %s does not answer: %w (is it running? -api or MCC_API names another)", c.name, err)
}

// raw sends a request and reads the whole answer.
func (c *apiClient) raw(ctx context.Context, r apiRequest) ([]byte, http.Header, error) {
	resp, err := c.open(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, nil, fmt.Errorf("read the node's answer: %w", err)
	}
	return data, resp.Header, nil
}

// do sends body (nil for none) as JSON and decodes the answer into out unless
// nil. It returns the raw answer for -json.
func (c *apiClient) do(ctx context.Context, method, path string, body, out any) ([]byte, error) {
	r := apiRequest{method: method, path: path}
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r.body = bytes.NewReader(data)
		r.header = http.Header{"Content-Type": {"application/json"}}
	}
	data, _, err := c.raw(ctx, r)
	if err != nil {
		return nil, err
	}
	return data, c.decode(data, out)
}

// decode reads an answer of the API into out unless nil.
func (c *apiClient) decode(data []byte, out any) error {
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("the answer of %s is not the API's: %w", c.name, err)
	}
	return nil
}

// maxAnswer bounds an answer of the API in bytes; BLOBs are none.
const maxAnswer = 16 << 20

// problem is the API's error answer (RFC 9457).
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
}

// answerError is an error that the API answered.
type answerError struct {
	status int
	text   string
	hint   string // empty for none
}

func (e *answerError) Error() string { return e.text }

// refused turns an error answer into one for the user: what says that an
// argument is wrong is a mistake of usage.
func (c *apiClient) refused(status int, data []byte) error {
	err := &answerError{status: status, text: problemText(status, data)}
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		return &usageError{err: err}
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		err.hint = c.tokenHint()
	}
	return err
}

// tokenHint says how to be let in.
func (c *apiClient) tokenHint() string {
	if c.token == "" {
		return "-http-token-file or MCC_HTTP_TOKEN_FILE names the file with the node's token"
	}
	return "the token in the file of -http-token-file (MCC_HTTP_TOKEN_FILE) is not this node's"
}

func problemText(status int, data []byte) string {
	var p problem
	if json.Unmarshal(data, &p) != nil || p.Title == "" && p.Detail == "" {
		return fmt.Sprintf("the node answered %d %s", status, http.StatusText(status))
	}
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for _, e := range p.Errors {
		text += fmt.Sprintf("; %s: %s", e.Location, e.Message)
	}
	return text
}

// segment escapes one segment of a path. Dots alone are escaped too, since they
// mean folders otherwise.
func segment(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
}
