package source

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// seconds writes the durations in the JSON of a message, in place, as protobuf's own
// decoder reads them: Istio takes all that Go's does, such as "1h30m". What is no duration
// stays as it is, for the decoder to refuse.
func seconds(v any, m protoreflect.MessageDescriptor) any {
	switch v := v.(type) {
	case string:
		if m.FullName() == "google.protobuf.Duration" {
			return inSeconds(v)
		}
	case map[string]any:
		for name, e := range v {
			f := m.Fields().ByJSONName(name)
			if f == nil {
				f = m.Fields().ByTextName(name)
			}
			if f != nil {
				v[name] = secondsOf(e, f)
			}
		}
	}
	return v
}

func secondsOf(v any, f protoreflect.FieldDescriptor) any {
	if f.IsMap() {
		f = f.MapValue()
		if m, ok := v.(map[string]any); ok && f.Message() != nil {
			for k, e := range m {
				m[k] = seconds(e, f.Message())
			}
		}
		return v
	}
	if f.Message() == nil {
		return v
	}
	if list, ok := v.([]any); ok && f.IsList() {
		for i, e := range list {
			list[i] = seconds(e, f.Message())
		}
		return v
	}
	return seconds(v, f.Message())
}

func inSeconds(s string) string {
	d, err := time.ParseDuration(s)
	if err != nil {
		return s
	}
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	return fmt.Sprintf("%s%d.%09ds", sign, d/time.Second, d%time.Second)
}
