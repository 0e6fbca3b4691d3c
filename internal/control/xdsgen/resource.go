package xdsgen

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/mesh"
)

// newResource marshals a message, the same bytes for the same message.
func newResource(typeURL, name string, m proto.Message, origins ...mesh.Ref) *Resource {
	a := pack(m)
	h := sha256.Sum256(a.Value)
	return &Resource{Type: typeURL, Name: name, Version: hex.EncodeToString(h[:12]), Any: a, Origins: sorted(origins)}
}

// pack marshals deterministically. Messages made here always can be marshalled:
// texts of objects are checked to be UTF-8 where they are decoded.
func pack(m proto.Message) *anypb.Any {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("xdsgen: %T cannot be marshalled: %v", m, err))
	}
	return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName()), Value: b}
}

// sorted gives the references in order, each once.
func sorted(in []mesh.Ref) []mesh.Ref {
	out := append([]mesh.Ref(nil), in...)
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		switch {
		case a.Group != b.Group:
			return a.Group < b.Group
		case a.Kind != b.Kind:
			return a.Kind < b.Kind
		case a.Namespace != b.Namespace:
			return a.Namespace < b.Namespace
		}
		return a.Name < b.Name
	})
	kept := out[:0]
	for i, r := range out {
		if i == 0 || r != kept[len(kept)-1] {
			kept = append(kept, r)
		}
	}
	return kept
}
