package did

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth is how deep objects and arrays of a document may be nested.
const maxDepth = 16

// object is a JSON object; the values are those of encoding/json, with objects
// for maps and json.Number for numbers.
type object map[string]any

// parseObject reads a document as one JSON object in UTF-8, of bounded size and
// depth, no name twice in the same object.
func parseObject(text []byte) (object, error) {
	if len(text) > MaxDocument {
		return nil, fmt.Errorf("document: %w: %d bytes, at most %d", ErrInvalid, len(text), MaxDocument)
	}
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("document: %w: not UTF-8", ErrInvalid)
	}
	// The grammar first, so that the walk below meets only what is well formed.
	if err := json.Unmarshal(text, new(json.RawMessage)); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("document: %w: no JSON at byte %d: %w", ErrInvalid, syntax.Offset, err)
		}
		return nil, fmt.Errorf("document: %w: no JSON: %w", ErrInvalid, err)
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	value, err := readValue(in, "", 0)
	if err != nil {
		return nil, err
	}
	root, ok := value.(object)
	if !ok {
		return nil, fmt.Errorf("document: %w: it must be a JSON object", ErrInvalid)
	}
	return root, nil
}

// readValue reads the next value, which stands at path.
func readValue(in *json.Decoder, path string, depth int) (any, error) {
	token, err := in.Token()
	if err != nil {
		return nil, fmt.Errorf("document: %w: %w", ErrInvalid, err)
	}
	delimiter, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == maxDepth {
		return nil, fault(path, "it is nested deeper than %d levels; make it flatter", maxDepth)
	}
	var value any
	if delimiter == '{' {
		value, err = readObject(in, path, depth+1)
	} else {
		value, err = readArray(in, path, depth+1)
	}
	if err != nil {
		return nil, err
	}
	_, err = in.Token() // the closing one
	return value, err
}

func readObject(in *json.Decoder, path string, depth int) (object, error) {
	o := object{}
	for in.More() {
		token, err := in.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		at := member(path, name)
		if _, twice := o[name]; twice {
			return nil, fault(at, "the name is there twice; remove one")
		}
		if o[name], err = readValue(in, at, depth); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func readArray(in *json.Decoder, path string, depth int) ([]any, error) {
	items := []any{}
	for in.More() {
		value, err := readValue(in, element(path, len(items)), depth)
		if err != nil {
			return nil, err
		}
		items = append(items, value)
	}
	return items, nil
}

// member is the path of a property, such as verificationMethod[0].id; a name
// that is none of the usual is quoted.
func member(path, name string) string {
	if !onlyOf(name, "@_", isAlphanumeric) || name == "" || len(name) > 64 {
		name = quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// fault is an ErrInvalid that names the place, and what to do about it.
func fault(path, format string, args ...any) error {
	return fmt.Errorf("document: %s: %w: %s", path, ErrInvalid, fmt.Sprintf(format, args...))
}
