package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// mapping returns the top-level entries of a document.
func mapping(body ast.Node) ([]*ast.MappingValueNode, error) {
	switch node := body.(type) {
	case *ast.MappingNode:
		return node.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{node}, nil
	case *ast.CommentGroupNode, *ast.NullNode:
		return nil, nil
	}
	return nil, fmt.Errorf("line %d: want key: value lines", lineOf(body))
}

// parseYAML and decodeYAML are goccy's functions without their panics, which
// odd aliases and anchors cause: a reload must not end a running node.
func parseYAML(data []byte) (file *ast.File, err error) {
	defer unpanic(&err)
	if nesting(data) > maxNesting {
		return nil, fmt.Errorf("nested more than %d times", maxNesting)
	}
	return parser.ParseBytes(data, 0)
}

// maxNesting bounds lists in lists: the parser's time grows with its square.
const maxNesting = 1000

// nesting is how deep a file seems to go: by brackets that stay open, and by
// list and key marks in one line. Quotes and comments it takes for plain text,
// which matters only near the limit.
func nesting(data []byte) int {
	deepest, brackets, marks := 0, 0, 0
	for i, c := range data {
		switch c {
		case '\n', '\r':
			marks = 0
		case '[', '{':
			brackets++
		case ']', '}':
			brackets = max(brackets-1, 0)
		case '-', '?':
			if i+1 < len(data) && (data[i+1] == ' ' || data[i+1] == '\t') {
				marks++
			}
		}
		deepest = max(deepest, brackets, marks)
	}
	return deepest
}

func decodeYAML(node ast.Node, out any) (err error) {
	defer unpanic(&err)
	return yaml.NodeToValue(node, out, yaml.Strict())
}

func unpanic(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("this YAML cannot be read (%v)", p)
	}
}

// decodeItem decodes an entry of a list into out. It first tries each field by
// itself, on a value of its own, since the decoder's errors do not always say
// which field they mean.
func decodeItem(item ast.Node, list string, out any, fresh func() any) error {
	fields, err := mapping(item)
	if err != nil {
		return fmt.Errorf("line %d: %s: want key: value lines for each entry", lineOf(item), list)
	}
	for _, field := range fields {
		if err := decodeYAML(field, fresh()); err != nil {
			return fmt.Errorf("line %d: %s: %s: %s", lineOf(field.Key), list, field.Key, yamlMessage(err))
		}
	}
	if err := decodeYAML(item, out); err != nil {
		return fmt.Errorf("%s: %w", list, yamlError(err))
	}
	return nil
}

// scalars reads a scalar or a list of them as text.
func scalars(node ast.Node) ([]string, error) {
	if list, ok := node.(*ast.SequenceNode); ok {
		var all []string
		for _, item := range list.Values {
			one, err := scalars(item)
			if err != nil {
				return nil, err
			}
			all = append(all, one...)
		}
		return all, nil
	}
	switch n := node.(type) {
	case *ast.StringNode:
		return []string{n.Value}, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return []string{node.GetToken().Value}, nil
	}
	return nil, errors.New("want a plain value or a list of them")
}

func lineOf(node ast.Node) int {
	if token := node.GetToken(); token != nil && token.Position != nil {
		return token.Position.Line
	}
	return 0
}

// goField matches how the decoder names a field of a Go struct.
var goField = regexp.MustCompile(`cannot unmarshal (\S+) into Go .* of type (\S+)`)

// yamlMessage is the message of goccy's excerpt "[3:5] message" without its
// place.
func yamlMessage(err error) string {
	_, message := splitYAML(err)
	return message
}

// yamlError makes one line of goccy's excerpt.
func yamlError(err error) error {
	place, message := splitYAML(err)
	if place == "" {
		return errors.New(message)
	}
	line, column, _ := strings.Cut(place, ":")
	return fmt.Errorf("line %s, column %s: %s", line, column, message)
}

func splitYAML(err error) (place, message string) {
	text, _, _ := strings.Cut(err.Error(), "\n")
	if rest, ok := strings.CutPrefix(text, "["); ok {
		if at, after, ok := strings.Cut(rest, "] "); ok {
			place, text = at, after
		}
	}
	return place, goField.ReplaceAllString(text, "$1 was used where $2 is expected")
}
