// Command openapi finishes the OpenAPI 3.1 document that protoc-gen-openapiv3
// makes of our schema: what the generator cannot know of how the gateway speaks
// REST.
//
// It names path parameters for what they are, describes streams by their two
// content types, has all errors in one place, and says "at most one of" in words
// where the generator nests alternatives that no reader and no typed client can
// use.
package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// head is what the document begins with, and the components that go before those
// of the generator.
//
//go:embed head.json
var head []byte

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: openapi MERGED OUTPUT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(in, out string) error {
	b, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	var doc object
	if err := json.Unmarshal(b, &doc); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	if doc, err = finish(doc); err != nil {
		return err
	}
	if b, err = json.MarshalIndent(doc, "", " "); err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}

type object = map[string]any

func finish(doc object) (object, error) {
	var ours object
	if err := json.Unmarshal(head, &ours); err != nil {
		return nil, fmt.Errorf("head.json: %w", err)
	}
	walk(doc, plain)
	components := child(doc, "components")
	for kind, parts := range child(ours, "components") {
		maps.Copy(child(components, kind), parts.(object))
	}
	delete(ours, "components")
	maps.Copy(doc, ours)
	paths, err := rename(child(doc, "paths"))
	if err != nil {
		return nil, err
	}
	doc["paths"] = paths
	for _, path := range paths {
		for _, operation := range path.(object) {
			answer(operation.(object), child(components, "schemas"))
		}
	}
	return doc, nil
}

// child is the object under a key, made when there is none.
func child(o object, key string) object {
	if c, ok := o[key].(object); ok {
		return c
	}
	c := object{}
	o[key] = c
	return c
}

func walk(v any, visit func(object)) {
	switch v := v.(type) {
	case object:
		visit(v)
		for _, c := range v {
			walk(c, visit)
		}
	case []any:
		for _, c := range v {
			walk(c, visit)
		}
	}
}

// plain rewrites a schema for readers: without the linter's comments, and with
// alternatives in words.
func plain(o object) {
	if text, ok := o["description"].(string); ok {
		o["description"] = withoutLint(text)
	}
	if _, ok := o["properties"].(object); !ok {
		return
	}
	for _, group := range alternatives(o) {
		text, _ := o["description"].(string)
		o["description"] = strings.TrimSpace(text + "\n\nAt most one of these is set: `" + strings.Join(group, "`, `") + "`.")
	}
	delete(o, "oneOf")
	delete(o, "allOf")
}

func withoutLint(text string) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.HasPrefix(l, "buf:lint:") })
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// alternatives are the fields of each oneof, as the generator tells them: a list of
// schemas that require one field each.
func alternatives(o object) [][]string {
	var groups [][]string
	one := func(o object) {
		var names []string
		list, _ := o["oneOf"].([]any)
		for _, alternative := range list {
			required, _ := alternative.(object)["required"].([]any)
			for _, name := range required {
				names = append(names, name.(string))
			}
		}
		if len(names) > 0 {
			groups = append(groups, names)
		}
	}
	one(o)
	all, _ := o["allOf"].([]any)
	for _, part := range all {
		one(part.(object))
	}
	return groups
}

var named = regexp.MustCompile(`/([a-z]+)s/\{([a-z.]+)\}`)

// rename calls the last part of a resource's name by the resource: the generator
// has `/v1/sources/{name}`, though what stands there is no name but an id, and
// another path for the method that calls it `{source.name}`.
func rename(paths object) (object, error) {
	out := object{}
	for path, methods := range paths {
		match := named.FindStringSubmatch(path)
		if match == nil && strings.Contains(path, "{") {
			return nil, fmt.Errorf("%s: a path of a form that is not foreseen", path)
		}
		if match != nil {
			path = strings.Replace(path, "{"+match[2]+"}", "{"+match[1]+"}", 1)
		}
		for method, operation := range methods.(object) {
			if match != nil && !renameParameter(operation.(object), match[2], match[1]) {
				return nil, fmt.Errorf("%s %s: no parameter %s", method, path, match[2])
			}
			if child(out, path)[method] != nil {
				return nil, errors.New(method + " " + path + " is there twice")
			}
			child(out, path)[method] = operation
		}
	}
	return out, nil
}

func renameParameter(operation object, from, to string) bool {
	parameters, _ := operation["parameters"].([]any)
	for _, p := range parameters {
		if p := p.(object); p["in"] == "path" && p["name"] == from {
			p["name"] = to
			p["description"] = "The id of the " + to + ", the last part of its name."
			return true
		}
	}
	return false
}

// export describes the forms of an export.
func export(ok, content object, frame, text string) {
	content["application/x-ndjson"] = object{"schema": object{
		"description": "One line: a message or, last, `error` with a google.rpc.Status, why the export failed. A CloudEvent when `Accept` is application/cloudevents+json.",
		"anyOf": []any{object{"$ref": "#/components/schemas/" + frame}, object{"type": "object", "properties": object{
			"error": object{"$ref": "#/components/schemas/google.rpc.Status"},
		}}},
	}}
	content["application/cloudevents-batch+protobuf"] = object{"schema": object{
		"type": "string", "format": "binary", "description": "One io.cloudevents.v1.CloudEventBatch, when `Accept` asks for it.",
	}}
	ok["description"] = text + " The content is a message a line."
}

// answer describes what an operation answers: its errors, and its stream if it is
// one.
func answer(operation, schemas object) {
	responses := child(operation, "responses")
	failure := object{"$ref": "#/components/responses/Error"}
	responses["4XX"], responses["default"] = failure, failure
	ok := child(responses, "200")
	text, _ := ok["description"].(string)
	text, streams := strings.CutSuffix(text, " (streaming responses)")
	if !streams {
		return
	}
	content := child(ok, "content")
	line := child(child(content, "application/json"), "schema")
	frame := strings.TrimPrefix(child(child(line, "properties"), "result")["$ref"].(string), "#/components/schemas/")
	delete(content, "application/json")
	if operation["operationId"] == "EventService_ExportEvents" {
		export(ok, content, frame, text)
		return
	}
	schemas[frame+".Line"] = object{
		"type":        "object",
		"description": "One line of a stream: a frame, or, last, why the stream failed.",
		"properties":  line["properties"],
	}
	content["application/x-ndjson"] = object{"schema": object{"$ref": "#/components/schemas/" + frame + ".Line"}}
	if id, _ := operation["operationId"].(string); !strings.HasPrefix(id, "EventService_Subscribe") {
		ok["description"] = text + " The content is one line a frame."
		return
	}
	content["text/event-stream"] = object{"schema": object{"type": "string", "description": "Server-sent events, when `Accept` asks for them. " +
		"`event` is the frame's kind (`opened`, `batch`, …), `id` its cursor, `data` the frame as JSON (" + frame + "). " +
		"`end` comes last when the stream reached its stop, `failure` with a google.rpc.Status when it failed."}}
	ok["description"] = text + " The content is one line, or one server-sent event, a frame, for as long as the stream is open."
	parameters, _ := operation["parameters"].([]any)
	operation["parameters"] = append(parameters, object{"$ref": "#/components/parameters/LastEventId"})
}
