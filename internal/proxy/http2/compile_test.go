package http2

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// TestCompile holds that each setting does something or is refused by its name.
func TestCompile(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                                           "",
		`{"hpackTableSize": 0}`:                                        "",
		`{"hpackTableSize": 2000000}`:                                  "hpack_table_size: 2000000 is not between 0 and 1048576",
		`{"maxConcurrentStreams": 0}`:                                  "max_concurrent_streams: 0 is not between 1 and 2147483647",
		`{"initialStreamWindowSize": 65534}`:                           "initial_stream_window_size: 65534 is not between 65535 and 2147483647",
		`{"initialConnectionWindowSize": 1}`:                           "initial_connection_window_size: 1 is not between 65535 and 2147483647",
		`{"allowMetadata": true}`:                                      "allow_metadata: not supported",
		`{"customSettingsParameters": [{}]}`:                           "custom_settings_parameters: not supported",
		`{"enableHuffmanEncoding": false}`:                             "enable_huffman_encoding: not supported",
		`{"maxHeaderFieldSizeKb": 1}`:                                  "max_header_field_size_kb: not supported",
		`{"connectionKeepalive": {}}`:                                  "connection_keepalive.timeout: must be at least 1 ms",
		`{"connectionKeepalive": {"timeout": "1s", "interval": "0s"}}`: "connection_keepalive.interval: must be at least 1 ms",
		`{"connectionKeepalive": {"timeout": "1s", "connectionIdleInterval": "1s"}}`: "connection_keepalive.connection_idle_interval: not supported",
	} {
		p := new(corev3.Http2ProtocolOptions)
		if err := protojson.Unmarshal([]byte(text), p); err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, err := Compile(p); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	p := new(corev3.Http2ProtocolOptions)
	text := `{"hpackTableSize": 1, "maxConcurrentStreams": 2, "initialStreamWindowSize": 70000, "initialConnectionWindowSize": 80000,
		"maxOutboundFrames": 3, "maxOutboundControlFrames": 4, "maxConsecutiveInboundFramesWithEmptyPayload": 5,
		"maxInboundPriorityFramesPerStream": 6, "maxInboundWindowUpdateFramesPerDataFrameSent": 7, "streamErrorOnInvalidHttpMessaging": true,
		"connectionKeepalive": {"interval": "1s", "timeout": "2s"}, "streamResetBurst": 8, "streamResetRate": 9}`
	if err := protojson.Unmarshal([]byte(text), p); err != nil {
		t.Fatal(err)
	}
	got, err := Compile(p)
	want := Options{TableSize: 1, MaxStreams: 2, StreamWindow: 70000, ConnWindow: 80000, MaxOutbound: 3, MaxOutboundControl: 4, MaxEmpty: 5,
		MaxPriorities: 6, MaxWindowUpdates: 7, StreamErrors: true, PingInterval: 1e9, PingTimeout: 2e9, ResetBurst: 8, ResetRate: 9,
		HeadBytes: defaultHead, Fields: defaultFields}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want\n%+v", got, err, want)
	}
}

// TestTables holds that a connection works with every size of the HPACK tables, and
// from the first frame on, when the peer knows none of it.
func TestTables(t *testing.T) {
	for _, size := range []uint32{0, 100, 4096, 65536} {
		o := Defaults()
		o.TableSize = size
		p := serve(t, o, true, &handler{serve: echo})
		for i := range uint32(20) {
			p.headers(2*i+1, true, with(get, "x: y", "a: b")...)
			if got := p.message(2*i + 1); got != ":status: 200\npath: /\nauthority: a\nx: y\na: b\n" {
				t.Fatalf("%d: %q", size, got)
			}
			if i == 10 && size < 4096 { // as our SETTINGS say
				p.enc.SetMaxDynamicTableSize(size)
			}
		}
	}
}
