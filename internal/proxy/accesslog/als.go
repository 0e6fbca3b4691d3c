package accesslog

import (
	"context"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	grpcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/proxy/customtag"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/otlp"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// alsLog sends entries of Envoy's own form (envoy.access_loggers.http_grpc and tcp_grpc).
type alsLog[E proto.Message] struct {
	states []string // filter_state_objects_to_log
	tags   []customtag.Tag
	entry  func(*exchange.Exchange, *datav3.AccessLogCommon) E
	*queue[E]
}

func (l *alsLog[E]) close() { l.end() }

func (l *alsLog[E]) record(x *exchange.Exchange) { l.add(l.entry(x, l.common(x))) }

const alsStream = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"

func compileHTTPGRPC(m *grpcv3.HttpGrpcAccessLogConfig, o Options) (recorder, error) {
	if err := strict.Only(m, "common_config", "additional_request_headers_to_log", "additional_response_headers_to_log", "additional_response_trailers_to_log"); err != nil {
		return nil, err
	}
	of := httpEntry{lower(m.GetAdditionalRequestHeadersToLog()), lower(m.GetAdditionalResponseHeadersToLog()), lower(m.GetAdditionalResponseTrailersToLog())}
	return compileALS(m.GetCommonConfig(), o, of.entry, func(all []*datav3.HTTPAccessLogEntry) *alsv3.StreamAccessLogsMessage {
		return &alsv3.StreamAccessLogsMessage{LogEntries: &alsv3.StreamAccessLogsMessage_HttpLogs{HttpLogs: &alsv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: all}}}
	})
}

func compileTCPGRPC(m *grpcv3.TcpGrpcAccessLogConfig, o Options) (recorder, error) {
	if err := strict.Only(m, "common_config"); err != nil {
		return nil, err
	}
	return compileALS(m.GetCommonConfig(), o, tcpEntry, func(all []*datav3.TCPAccessLogEntry) *alsv3.StreamAccessLogsMessage {
		return &alsv3.StreamAccessLogsMessage{LogEntries: &alsv3.StreamAccessLogsMessage_TcpLogs{TcpLogs: &alsv3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: all}}}
	})
}

// compileALS makes the logger that they have in common. Each batch is a stream of its own,
// with this proxy's node, and is taken when the server has ended the stream.
func compileALS[E proto.Message](m *grpcv3.CommonGrpcAccessLogConfig, o Options, entry func(*exchange.Exchange, *datav3.AccessLogCommon) E, message func([]E) *alsv3.StreamAccessLogsMessage) (recorder, error) {
	at := func(err error) (recorder, error) { return nil, strict.At("common_config", err) }
	service, err := commonService(m)
	switch {
	case err != nil:
		return at(err)
	case m.GetLogName() == "":
		return at(strict.Errorf("log_name", "empty"))
	case service == nil:
		return at(strict.Errorf("grpc_service", "missing"))
	}
	send, err := otlp.Compile(service, nil, alsStream, o.Clusters)
	if err != nil {
		return at(err)
	}
	l := &alsLog[E]{states: m.GetFilterStateObjectsToLog(), entry: entry}
	if l.tags, err = customtag.Compile(m.GetCustomTags()); err != nil {
		return at(err)
	}
	id := &alsv3.StreamAccessLogsMessage_Identifier{Node: o.Node, LogName: m.GetLogName()}
	l.queue, err = newQueue(func(ctx context.Context, all []E) error {
		m := message(all)
		m.Identifier = id
		return send(ctx, m)
	}, m, "grpc_access_log", &o)
	if err != nil {
		return at(err)
	}
	return l, nil
}
