package filter

import (
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Metadata is what a filter writes into its dynamic metadata: a compiled Struct.
type Metadata struct{ doc jsondoc.Value }

// CompileMetadata compiles a Struct; nil is none. Numbers that JSON cannot hold are
// errors.
func CompileMetadata(s *structpb.Struct) (Metadata, error) {
	if len(s.GetFields()) == 0 {
		return Metadata{}, nil
	}
	b, err := s.MarshalJSON()
	if err != nil {
		return Metadata{}, err
	}
	v, err := jsondoc.Parse(string(b))
	return Metadata{v}, err
}

// Write writes it under the name.
func (m Metadata) Write(x *exchange.Exchange, name string) {
	if m.doc.Kind() != jsondoc.Object {
		return
	}
	for key, v := range m.doc.All() {
		x.SetMetadata(name, key, v)
	}
}
