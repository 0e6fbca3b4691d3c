package http2

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

const maxTable = 1 << 20

// Compile makes options of Envoy's message; nil gives the defaults. An error names
// the field.
func Compile(p *corev3.Http2ProtocolOptions) (Options, error) {
	o := Defaults()
	if p == nil {
		return o, nil
	}
	if err := strict.Only(p, "hpack_table_size", "max_concurrent_streams", "initial_stream_window_size", "initial_connection_window_size",
		"max_outbound_frames", "max_outbound_control_frames", "max_consecutive_inbound_frames_with_empty_payload",
		"max_inbound_priority_frames_per_stream", "max_inbound_window_update_frames_per_data_frame_sent",
		"stream_error_on_invalid_http_messaging", "override_stream_error_on_invalid_http_message", "connection_keepalive",
		"stream_reset_burst", "stream_reset_rate", "allow_connect"); err != nil {
		return o, err
	}
	for _, f := range []struct {
		name     string
		value    *wrapperspb.UInt32Value
		min, max uint32
		set      func(uint32)
	}{
		{"hpack_table_size", p.GetHpackTableSize(), 0, maxTable, func(v uint32) { o.TableSize = v }},
		{"max_concurrent_streams", p.GetMaxConcurrentStreams(), 1, 1<<31 - 1, func(v uint32) { o.MaxStreams = v }},
		{"initial_stream_window_size", p.GetInitialStreamWindowSize(), 65535, 1<<31 - 1, func(v uint32) { o.StreamWindow = int32(v) }},
		{"initial_connection_window_size", p.GetInitialConnectionWindowSize(), 65535, 1<<31 - 1, func(v uint32) { o.ConnWindow = int32(v) }},
		{"max_outbound_frames", p.GetMaxOutboundFrames(), 1, 1<<31 - 1, func(v uint32) { o.MaxOutbound = int(v) }},
		{"max_outbound_control_frames", p.GetMaxOutboundControlFrames(), 1, 1<<31 - 1, func(v uint32) { o.MaxOutboundControl = int(v) }},
		{"max_consecutive_inbound_frames_with_empty_payload", p.GetMaxConsecutiveInboundFramesWithEmptyPayload(), 0, 1<<31 - 1, func(v uint32) { o.MaxEmpty = int(v) }},
		{"max_inbound_priority_frames_per_stream", p.GetMaxInboundPriorityFramesPerStream(), 0, 1<<31 - 1, func(v uint32) { o.MaxPriorities = int(v) }},
		{"max_inbound_window_update_frames_per_data_frame_sent", p.GetMaxInboundWindowUpdateFramesPerDataFrameSent(), 1, 1<<31 - 1, func(v uint32) { o.MaxWindowUpdates = int(v) }},
	} {
		if f.value == nil {
			continue
		}
		if v := f.value.GetValue(); v < f.min || v > f.max {
			return o, strict.Errorf(f.name, "%d is not between %d and %d", v, f.min, f.max)
		}
		f.set(f.value.GetValue())
	}
	o.Connect = p.GetAllowConnect()
	o.StreamErrors = p.GetStreamErrorOnInvalidHttpMessaging()
	if v := p.GetOverrideStreamErrorOnInvalidHttpMessage(); v != nil {
		o.StreamErrors = v.GetValue()
	}
	if v := p.GetStreamResetBurst(); v != nil {
		o.ResetBurst = float64(v.GetValue())
	}
	if v := p.GetStreamResetRate(); v != nil {
		o.ResetRate = float64(v.GetValue())
	}
	return o, strict.At("connection_keepalive", o.keepalive(p.GetConnectionKeepalive()))
}

func (o *Options) keepalive(k *corev3.KeepaliveSettings) error {
	if k == nil {
		return nil
	}
	if err := strict.Only(k, "interval", "timeout"); err != nil {
		return err
	}
	o.PingInterval, o.PingTimeout = k.GetInterval().AsDuration(), k.GetTimeout().AsDuration()
	if o.PingTimeout < time.Millisecond {
		return strict.Errorf("timeout", "must be at least 1 ms")
	}
	if k.GetInterval() != nil && o.PingInterval < time.Millisecond {
		return strict.Errorf("interval", "must be at least 1 ms")
	}
	return nil
}
