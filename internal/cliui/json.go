package cliui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/kvmlab/kvmlab/untrusted"
)

// jsonVersion is the version of every JSON document that kvmlab prints. Keys may be added within a version; none is
// renamed or removed.
const jsonVersion = 1

var errNotObject = errors.New("the top level of JSON output must be a struct or a map")

// WriteJSON prints v, a struct or a map, as one indented JSON object that begins with "version": 1. Slices that are
// nil are written as [], never as null, at any depth that encoding/json reaches by reflection. What could act on a
// terminal is escaped, and is what it was to a program that reads it.
func WriteJSON(w io.Writer, v any) error {
	compact, err := marshalObject(v)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		return fmt.Errorf("indent JSON: %w", err)
	}
	out.WriteByte('\n')
	_, err = w.Write(out.Bytes())
	return err
}

// WriteJSONLine prints v like WriteJSON on a single line, for streams of objects.
func WriteJSONLine(w io.Writer, v any) error {
	compact, err := marshalObject(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(compact, '\n'))
	return err
}

// marshalObject gives v with the version in front.
func marshalObject(v any) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // people read it, browsers do not
	if err := encoder.Encode(fillLists(reflect.ValueOf(v)).Interface()); err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	fields := bytes.TrimSpace(untrusted.JSON(body.Bytes()))
	if len(fields) == 0 || fields[0] != '{' {
		return nil, errNotObject
	}
	out := fmt.Appendf(nil, `{"version":%d`, jsonVersion)
	if bytes.HasPrefix(fields, append(out, ',')) {
		return fields, nil // a value that writes its own JSON has put it there
	}
	if len(fields) > len("{}") {
		out = append(out, ',')
	}
	return append(out, fields[1:]...), nil
}

// fillLists copies v with every nil slice replaced by an empty one. Values that write their own JSON are left alone.
func fillLists(v reflect.Value) reflect.Value {
	if !v.IsValid() || v.Type().Implements(reflect.TypeFor[json.Marshaler]()) {
		return v
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return v
		}
		copied := reflect.New(v.Elem().Type())
		copied.Elem().Set(fillLists(v.Elem()))
		if v.Kind() == reflect.Interface {
			return copied.Elem()
		}
		return copied
	case reflect.Struct:
		copied := reflect.New(v.Type()).Elem()
		copied.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				copied.Field(i).Set(fillLists(v.Field(i)))
			}
		}
		return copied
	case reflect.Slice:
		copied := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			copied.Index(i).Set(fillLists(v.Index(i)))
		}
		return copied
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		copied := reflect.MakeMapWithSize(v.Type(), v.Len())
		for _, key := range v.MapKeys() {
			copied.SetMapIndex(key, fillLists(v.MapIndex(key)))
		}
		return copied
	default:
		return v
	}
}
