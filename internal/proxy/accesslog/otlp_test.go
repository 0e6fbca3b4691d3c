package accesslog

import (
	"fmt"
	"log/slog"
	"testing"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	otelv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/open_telemetry/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// TestOTLPRefused names what is not taken, with its place, and leaves no queue behind.
func TestOTLPRefused(t *testing.T) {
	const grpc = `grpc_service: {envoy_grpc: {cluster_name: c}}`
	for text, want := range map[string]string{
		`log_name: name`:                                                                   "typed_config.grpc_service: missing, and http_service, too",
		grpc + `, body: {int_value: 1}`:                                                    "typed_config.body: neither string_value, kvlist_value nor array_value: not supported",
		grpc + `, body: {string_value: "%NONE%"}`:                                          "typed_config.body.string_value: %NONE%: unknown command",
		grpc + `, body: {array_value: {values: [{}]}}`:                                     "typed_config.body.array_value.values[0]: neither string_value, kvlist_value nor array_value: not supported",
		grpc + `, attributes: {values: [{key: a, value: {bool_value: true}}]}`:             "typed_config.attributes.values[0].value: neither string_value, kvlist_value nor array_value: not supported",
		grpc + `, http_service: {http_uri: {uri: "http://c/", cluster: c, timeout: 1s}}`:   "typed_config.http_service: besides grpc_service",
		grpc + `, buffer_size_bytes: 2000000`:                                              "typed_config.buffer_size_bytes: above 1048576",
		`common_config: {log_name: name, buffer_flush_interval: 0s, ` + grpc + `}`:         "typed_config.common_config.buffer_flush_interval: must be above 0",
		`common_config: {log_name: name, transport_api_version: V2, ` + grpc + `}`:         "typed_config.common_config.transport_api_version: V2: not supported",
		`common_config: {log_name: name, grpc_stream_retry_policy: {}, ` + grpc + `}`:      "typed_config.common_config.grpc_stream_retry_policy: not supported",
		`grpc_service: {google_grpc: {target_uri: x, stat_prefix: z}}`:                     "typed_config.grpc_service.google_grpc: not supported",
		grpc + `, custom_tags: [{tag: a, metadata: {kind: {host: {}}, metadata_key: {}}}]`: "typed_config.custom_tags[0].metadata.metadata_key: no key, or no path",
		grpc + `, formatters: [{name: f, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog}}]`: "",
	} {
		m := new(accesslogv3.AccessLog)
		proxytest.Decode(t, `{name: l, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig, `+text+`}}`, m)
		files := new(Files)
		_, err := Compile(m, Options{Files: files, Clusters: func(string) *upstream.Cluster { return nil }, Log: slog.New(slog.DiscardHandler)})
		if err == nil || want != "" && err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
		if len(files.queues) != 0 {
			t.Errorf("%s: its queue is left", text)
		}
	}
}

// TestOTLPCommon holds that what the older place says counts until the newer says something.
func TestOTLPCommon(t *testing.T) {
	const old = `common_config: {log_name: old, grpc_service: {envoy_grpc: {cluster_name: c}}, buffer_size_bytes: 7, buffer_flush_interval: 7s,
		filter_state_objects_to_log: [a], custom_tags: [{tag: b, literal: {value: c}}]}`
	const newer = `, log_name: name, buffer_size_bytes: 8, filter_state_objects_to_log: [d, e], custom_tags: [{tag: f, literal: {value: g}}]`
	for text, want := range map[string]string{old: "old 7 7s [a] b", old + newer: "name 8 1s [d e] f"} {
		m := new(otelv3.OpenTelemetryAccessLogConfig)
		proxytest.Decode(t, "{"+text+"}", m)
		l, err := compileOTLP(m, Options{Files: new(Files), Clusters: func(string) *upstream.Cluster { return nil }, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		name := resourceOf(m, nil).Attributes[0].Value.GetStringValue()
		if got := fmt.Sprintf("%s %d %s %v %s", name, l.enough, l.interval, l.states, l.tags[0].Name); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		l.close()
	}
}

// TestValid has a text of a client that protobuf does not take.
func TestValid(t *testing.T) {
	if got := stringValue("caf\xe9").GetStringValue(); got != "caf!" {
		t.Errorf("%q", got)
	}
}
