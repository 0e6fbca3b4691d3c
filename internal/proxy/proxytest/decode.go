package proxytest

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"
)

// Decode reads a message from YAML, in place of what it holds, and gives it back.
func Decode[M proto.Message](t testing.TB, text string, m M) M {
	t.Helper()
	j, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = protojson.Unmarshal(j, m)
	}
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return m
}

// Pack is Decode into an Any, as a typed_config has it.
func Pack(t testing.TB, text string, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(Decode(t, text, m))
	if err != nil {
		t.Fatal(err)
	}
	return a
}
