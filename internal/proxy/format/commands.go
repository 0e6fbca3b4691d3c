package format

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"strconv"
	"strings"
)

// textOf makes an operator of what gives a text, "" for none.
func textOf(get func(*Subject) string) operator {
	return func(b []byte, s *Subject) ([]byte, kind) {
		v := get(s)
		if v == "" {
			return b, missing
		}
		return append(b, v...), text
	}
}

func numberOf(get func(*Subject) int64) operator {
	return func(b []byte, s *Subject) ([]byte, kind) { return strconv.AppendInt(b, get(s), 10), bare }
}

// constant makes an operator of a text that no request changes.
func constant(v string) operator { return textOf(func(*Subject) string { return v }) }

// plain is a command without argument.
func plain(op operator) command {
	return command{make: func(string) (operator, error) { return op, nil }}
}

// commands are all that there are. Which take an argument, and which of them may be
// cut, is as in Envoy.
var commands = map[string]command{
	"REQ":               {needsArgument, true, requestHeader},
	"STREAM_INFO_REQ":   {needsArgument, true, requestHeader},
	"REQ_WITHOUT_QUERY": {needsArgument, true, requestHeaderWithoutQuery},
	"RESP":              {needsArgument, true, responseHeader},
	"TRAILER":           {needsArgument, true, responseTrailer},
	"PATH":              {mayArgument, true, requestPath},
	"QUERY_PARAM":       {needsArgument, true, queryParam},
	"QUERY_PARAMS":      {mayArgument, true, queryParams},

	"REQUEST_HEADERS_BYTES":   plain(numberOf(requestHeadersBytes)),
	"RESPONSE_HEADERS_BYTES":  plain(numberOf(responseHeadersBytes)),
	"RESPONSE_TRAILERS_BYTES": plain(numberOf(responseTrailersBytes)),

	"LOCAL_REPLY_BODY": plain(func(b []byte, s *Subject) ([]byte, kind) { return append(b, s.Body...), text }),
	"ACCESS_LOG_TYPE":  plain(textOf(accessLogType)),

	"PROTOCOL":          plain(textOf(func(s *Subject) string { return protocol(s.X.Request.ProtoMajor, s.X.Request.ProtoMinor) })),
	"UPSTREAM_PROTOCOL": plain(textOf(func(s *Subject) string { return protocol(s.X.UpstreamMajor, 1) })),
	"RESPONSE_CODE":     plain(numberOf(func(s *Subject) int64 { return int64(s.X.Response.Status) })),
	// Details have no white space here, so that its argument changes nothing.
	"RESPONSE_CODE_DETAILS":          {mayArgument, false, whatever(textOf(func(s *Subject) string { return s.X.Details }))},
	"RESPONSE_FLAGS":                 plain(responseFlags),
	"RESPONSE_FLAGS_LONG":            plain(responseFlagsLong),
	"CONNECTION_TERMINATION_DETAILS": plain(textOf(terminationDetails)),
	"GRPC_STATUS":                    {mayArgument, false, grpcStatus},
	"GRPC_STATUS_NUMBER":             plain(grpcStatusNumber),

	"BYTES_RECEIVED": plain(numberOf(func(s *Subject) int64 { return s.X.BytesReceived })),
	"BYTES_SENT":     plain(numberOf(func(s *Subject) int64 { return s.X.BytesSent })),
	// These three are of QUIC alone.
	"BYTES_RETRANSMITTED":   plain(numberOf(func(*Subject) int64 { return 0 })),
	"PACKETS_RETRANSMITTED": plain(numberOf(func(*Subject) int64 { return 0 })),
	"ROUNDTRIP_DURATION":    plain(constant("")),

	"START_TIME":           {mayArgument, false, startTime(false)},
	"START_TIME_LOCAL":     {mayArgument, false, startTime(true)},
	"EMIT_TIME":            {mayArgument, false, emitTime(false)},
	"EMIT_TIME_LOCAL":      {mayArgument, false, emitTime(true)},
	"DURATION":             plain(duration),
	"REQUEST_DURATION":     plain(between(begun, requestEnd, time1ms)),
	"REQUEST_TX_DURATION":  plain(between(begun, sent, time1ms)),
	"RESPONSE_DURATION":    plain(between(begun, answered, time1ms)),
	"RESPONSE_TX_DURATION": plain(between(answered, ended, time1ms)),
	"COMMON_DURATION":      {needsArgument, false, commonDuration},

	"UPSTREAM_HOST":                                 plain(textOf(func(s *Subject) string { return s.X.UpstreamHost })),
	"UPSTREAM_REMOTE_ADDRESS":                       plain(textOf(upstreamRemote)),
	"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":          plain(textOf(func(s *Subject) string { return host(upstreamRemote(s)) })),
	"UPSTREAM_REMOTE_PORT":                          plain(portOf(upstreamRemote)),
	"UPSTREAM_LOCAL_ADDRESS":                        plain(addressOf(upstreamLocal, whole)),
	"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":           plain(addressOf(upstreamLocal, hostOnly)),
	"UPSTREAM_LOCAL_PORT":                           plain(addressOf(upstreamLocal, portOnly)),
	"UPSTREAM_CLUSTER":                              plain(textOf(func(s *Subject) string { return s.X.ClusterShown })),
	"UPSTREAM_CLUSTER_RAW":                          plain(textOf(clusterName)),
	"UPSTREAM_TRANSPORT_FAILURE_REASON":             plain(textOf(func(s *Subject) string { return s.X.Failure })),
	"UPSTREAM_REQUEST_ATTEMPT_COUNT":                plain(numberOf(attempts)),
	"DOWNSTREAM_TRANSPORT_FAILURE_REASON":           plain(constant("")), // such a connection has no log
	"ROUTE_NAME":                                    plain(textOf(func(s *Subject) string { return s.X.RouteName })),
	"VIRTUAL_HOST_NAME":                             plain(textOf(virtualHost)),
	"VIRTUAL_CLUSTER_NAME":                          plain(constant("")), // virtual_clusters are refused
	"TRACE_ID":                                      plain(traceID),
	"SPAN_ID":                                       plain(spanID),
	"CUSTOM_FLAGS":                                  plain(func(b []byte, _ *Subject) ([]byte, kind) { return b, text }), // no filter sets one
	"UPSTREAM_FILTER_STATE":                         {needsArgument, true, whatever(constant(""))},
	"FILTER_STATE":                                  {needsArgument, true, filterState},
	"DYNAMIC_METADATA":                              {needsArgument, true, dynamicMetadata},
	"CLUSTER_METADATA":                              {needsArgument, true, clusterMetadata},
	"UPSTREAM_METADATA":                             {needsArgument, false, of(endpointMetadata)},
	"METADATA":                                      {needsArgument, true, metadata},
	"FILTER_CHAIN_NAME":                             plain(textOf(ofConn(filterChain))),
	"LISTENER_NAME":                                 plain(textOf(func(s *Subject) string { return s.X.Listener })),
	"UPSTREAM_CONNECTION_ID":                        plain(upstreamID),
	"UPSTREAM_HOST_NAME":                            plain(textOf(upstreamName)),
	"UPSTREAM_HOST_NAME_WITHOUT_PORT":               plain(textOf(func(s *Subject) string { return host(upstreamName(s)) })),
	"HOSTNAME":                                      {make: hostname},
	"ENVIRONMENT":                                   {needsArgument, true, environment},
	"UNIQUE_ID":                                     plain(uniqueID),
	"STREAM_ID":                                     plain(func(b []byte, s *Subject) ([]byte, kind) { return strconv.AppendUint(b, s.X.Random(), 10), bare }),
	"CONNECTION_ID":                                 plain(connectionID),
	"REQUESTED_SERVER_NAME":                         plain(textOf(ofConn(serverName))),
	"DOWNSTREAM_REMOTE_ADDRESS":                     plain(addressOf(remote, whole)),
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":        plain(addressOf(remote, hostOnly)),
	"DOWNSTREAM_REMOTE_PORT":                        plain(addressOf(remote, portOnly)),
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS":              plain(address(direct, whole)),
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": plain(address(direct, hostOnly)),
	"DOWNSTREAM_DIRECT_REMOTE_PORT":                 plain(address(direct, portOnly)),
	"DOWNSTREAM_DIRECT_LOCAL_ADDRESS":               plain(address(accepted, whole)),
	"DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT":  plain(address(accepted, hostOnly)),
	"DOWNSTREAM_DIRECT_LOCAL_PORT":                  plain(address(accepted, portOnly)),
	"DOWNSTREAM_LOCAL_ADDRESS":                      plain(address(local, whole)),
	"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":         plain(address(local, hostOnly)),
	"DOWNSTREAM_LOCAL_PORT":                         plain(address(local, portOnly)),
	"DOWNSTREAM_TLS_VERSION":                        plain(textOf(ofConn(downstreamVersion))),
	"DOWNSTREAM_TLS_CIPHER":                         plain(textOf(ofConn(downstreamCipher))),
	"DOWNSTREAM_TLS_GROUP":                          plain(textOf(ofConn(downstreamGroup))),
	"DOWNSTREAM_PEER_URI_SAN":                       plain(textOf(ofConn(peerURIs))),
	"DOWNSTREAM_PEER_DNS_SAN":                       plain(whose(clientCert).of(dnsNames)),
	"DOWNSTREAM_PEER_IP_SAN":                        plain(whose(clientCert).of(ips)),
	"DOWNSTREAM_PEER_EMAIL_SAN":                     plain(whose(clientCert).of(emails)),
	"DOWNSTREAM_PEER_SUBJECT":                       plain(whose(clientCert).of(subject)),
	"DOWNSTREAM_PEER_ISSUER":                        plain(whose(clientCert).of(issuer)),
	"DOWNSTREAM_PEER_SERIAL":                        plain(whose(clientCert).of(serial)),
	"DOWNSTREAM_PEER_FINGERPRINT_256":               plain(whose(clientCert).of(sha256Of)),
	"DOWNSTREAM_PEER_FINGERPRINT_1":                 plain(whose(clientCert).of(sha1Of)),
	"DOWNSTREAM_PEER_CERT":                          plain(whose(clientCert).of(encoded)),
	"DOWNSTREAM_PEER_CERT_V_START":                  {mayArgument, false, whose(clientCert).at(notBefore)},
	"DOWNSTREAM_PEER_CERT_V_END":                    {mayArgument, false, whose(clientCert).at(notAfter)},
	"DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256":        plain(textOf(ofConn(ofChain(sha256Of)))),
	"DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1":          plain(textOf(ofConn(ofChain(sha1Of)))),
	"DOWNSTREAM_PEER_CHAIN_SERIALS":                 plain(textOf(ofConn(ofChain(serial)))),
	"DOWNSTREAM_LOCAL_URI_SAN":                      plain(whose(ownCert).of(uris)),
	"DOWNSTREAM_LOCAL_DNS_SAN":                      plain(whose(ownCert).of(dnsNames)),
	"DOWNSTREAM_LOCAL_IP_SAN":                       plain(whose(ownCert).of(ips)),
	"DOWNSTREAM_LOCAL_EMAIL_SAN":                    plain(whose(ownCert).of(emails)),
	"DOWNSTREAM_LOCAL_SUBJECT":                      plain(whose(ownCert).of(subject)),
	"UPSTREAM_TLS_VERSION":                          plain(ofUpstream(upstreamVersion)),
	"UPSTREAM_TLS_CIPHER":                           plain(ofUpstream(upstreamCipher)),
	"UPSTREAM_TLS_GROUP":                            plain(ofUpstream(upstreamGroup)),
	"UPSTREAM_PEER_URI_SAN":                         plain(whose(endpointCert).of(uris)),
	"UPSTREAM_PEER_DNS_SAN":                         plain(whose(endpointCert).of(dnsNames)),
	"UPSTREAM_PEER_IP_SAN":                          plain(whose(endpointCert).of(ips)),
	"UPSTREAM_PEER_SUBJECT":                         plain(whose(endpointCert).of(subject)),
	"UPSTREAM_PEER_ISSUER":                          plain(whose(endpointCert).of(issuer)),
	"UPSTREAM_PEER_CERT":                            plain(whose(endpointCert).of(encoded)),
	"UPSTREAM_PEER_CERT_V_START":                    {mayArgument, false, whose(endpointCert).at(notBefore)},
	"UPSTREAM_PEER_CERT_V_END":                      {mayArgument, false, whose(endpointCert).at(notAfter)},
	"UPSTREAM_LOCAL_URI_SAN":                        plain(whose(endpointSees).of(uris)),
	"UPSTREAM_LOCAL_DNS_SAN":                        plain(whose(endpointSees).of(dnsNames)),
	"UPSTREAM_LOCAL_IP_SAN":                         plain(whose(endpointSees).of(ips)),
}

// whatever makes a command whose argument changes nothing.
func whatever(op operator) func(string) (operator, error) {
	return func(string) (operator, error) { return op, nil }
}

func protocol(major, minor int) string {
	switch {
	case major == 0:
		return ""
	case major == 2:
		return "HTTP/2"
	case minor == 0:
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// clusterName is the cluster's own name, "" if there is no such cluster.
func clusterName(s *Subject) string {
	if s.X.ClusterShown == "" {
		return ""
	}
	return s.X.Cluster
}

// attempts counts the one that is about to be made, too.
func attempts(s *Subject) int64 {
	if s.X.Attempts == 0 && s.X.ClusterShown != "" {
		return 1
	}
	return int64(s.X.Attempts)
}

func terminationDetails(s *Subject) string {
	if s.X.Request.ProtoMajor != 0 {
		return "" // of a request, not of its connection
	}
	return s.X.Details
}

func accessLogType(s *Subject) string { return cmp.Or(s.X.LogType, "NotSet") }

func hostname(string) (operator, error) {
	name, err := os.Hostname()
	if err != nil {
		name = "-"
	}
	return constant(name), nil
}

// environment is read when the configuration is.
func environment(arg string) (operator, error) {
	if strings.ContainsAny(arg, "=\x00") {
		return nil, errors.New("not the name of a variable")
	}
	return constant(os.Getenv(arg)), nil
}

// uniqueID is a random UUID, another one each time.
func uniqueID(b []byte, _ *Subject) ([]byte, kind) {
	var raw [16]byte
	_, _ = rand.Read(raw[:])
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	for i, c := range raw {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, []byte{c})
	}
	return b, text
}

func traceID(b []byte, s *Subject) ([]byte, kind) {
	if s.X.Trace.ID == [16]byte{} {
		return b, missing
	}
	id := s.X.Trace.ID[:]
	if s.X.Trace.Short {
		id = id[8:]
	}
	return hex.AppendEncode(b, id), text
}

func spanID(b []byte, s *Subject) ([]byte, kind) {
	if s.X.Trace.Span == [8]byte{} {
		return b, missing
	}
	return hex.AppendEncode(b, s.X.Trace.Span[:]), text
}

func connectionID(b []byte, s *Subject) ([]byte, kind) {
	if s.X.Conn == nil {
		return b, missing
	}
	return strconv.AppendUint(b, s.X.Conn.ID, 10), bare
}

func virtualHost(s *Subject) string {
	if s.X.VirtualHost == nil {
		return ""
	}
	return s.X.VirtualHost.HostName()
}

// upstreamID is 0 where there was no connection.
func upstreamID(b []byte, s *Subject) ([]byte, kind) {
	var id uint64
	if s.X.Upstream != nil {
		id = s.X.Upstream.ID
	}
	return strconv.AppendUint(b, id, 10), bare
}

// upstreamName is the endpoint's name, or its address.
func upstreamName(s *Subject) string {
	if s.X.Endpoint == nil {
		return ""
	}
	return cmp.Or(s.X.Endpoint.Hostname(), s.X.UpstreamHost)
}
