package xds

import (
	"maps"
	"slices"
	"strings"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// Bounds of what a NACK tells.
const (
	maxReason   = 1024 // bytes of one resource's reason
	maxRejected = 256  // resources
)

// nack is the error_detail of a response with refused resources: its message
// names each as "<name>: <field path>: <reason>", its first detail is a Struct
// {"rejected": {"<name>": "<reason>"}}.
func nack(rejected map[string]string) *statuspb.Status {
	by := make(map[string]any, len(rejected))
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(rejected)) {
		if len(by) == maxRejected {
			lines = append(lines, "and more")
			break
		}
		why := strings.ToValidUTF8(rejected[name], "?")
		if len(why) > maxReason {
			why = strings.ToValidUTF8(why[:maxReason], "") + "..."
		}
		by[strings.ToValidUTF8(name, "?")] = why
		lines = append(lines, strings.ToValidUTF8(name, "?")+": "+why)
	}
	st := &statuspb.Status{Code: int32(codes.InvalidArgument), Message: strings.Join(lines, "\n")}
	s, err := structpb.NewStruct(map[string]any{"rejected": by})
	if err != nil {
		return st // the message alone
	}
	if a, err := anypb.New(s); err == nil {
		st.Details = []*anypb.Any{a}
	}
	return st
}
