package stats

import "regexp"

// exception is a set of names that differ, and why.
type exception struct {
	names *regexp.Regexp
	why   string
}

func names(expr string) *regexp.Regexp { return regexp.MustCompile("^(?:" + expr + ")$") }

// missing are names that Envoy has and usher has not.
var missing = []exception{
	{names(`(http|listener)\.admin\..*`), "the administration interface is not counted"},
	{names(`.*\.worker_\d+\..*|.*\.main_thread\..*|workers\..*|thread_local_.*|dispatcher.*`), "there are no workers: goroutines serve connections"},
	{names(`(filesystem|runtime|main_thread|dns|tls_inspector|cluster_manager\.cds|listener_manager\.lds|overload|envoy\.overload_actions|http1|wasm|vhost|http2_options|access_logs)\..*`), "of parts that are built otherwise"},
	{names(`server\..*`), "of Envoy's own build and its restarts"},
	{names(`http\.async-client\..*`), "the proxy's own calls are not counted"},
	{names(`http2\..*`), "of nghttp2"},
	{names(`.*http3.*|.*quic.*|.*\.upstream_cx_connect_with_0_rtt|.*rx_quic.*`), "there is no HTTP/3"},
	{names(`.*_bytes_buffered`), "nothing waits in buffers between the two sides but what one read has given"},
	{names(`.*\.lb_subsets_.*|.*\.upstream_cx_pool_overflow|.*preconnect.*|.*max_host_weight|.*\.lb_(local|zone|recalculate).*|.*\.(bind_errors|version)`), "there is nothing of the kind"},
	{names(`.*\.cx_pool_open`), "pools have no bound of their own"},
	{names(`.*flow_control.*|.*overload.*|.*drain.*|.*delayed_close.*|.*internal_redirect.*|.*passthrough_internal.*|.*tracing\..*|.*\.rq_overload_local_reply|.*\.rs_too_large|.*too_large|.*too_many_premature_resets`), "not counted"},
	{names(`cluster\.[^.]+\.(assignment_.*|update_.*|init_fetch_timeout|warming_state|default\..*|retry_or_shadow_abandoned|http1\..*|http2\..*)`), "of discovery, and of codecs, which are counted for all clusters together"},
	{names(`cluster\.[^.]+\.(upstream_rq_(per_cx|active_overflow|tx_reset)|upstream_cx_(close_notify|connect_attempts_exceeded|destroy_.*|idle_timeout|max_duration_reached)|upstream_rq_(maintenance_mode|rx_reset_no_error|0rtt)|upstream_internal_.*|upstream_http3.*)`), "not counted"},
	{names(`cluster\.[^.]+\.(external|internal|canary|zone)\..*`), "answers are not told apart by where requests come from"},
	{names(`http\.[^.]+\.downstream_cx_(destroy_.*|idle_timeout|max_.*|upgrades_.*|.*soft_drain)|http\.[^.]+\.downstream_rq_(failed_path_normalization|non_relative_path|redirected_with_normalized_path|rejected_via_ip_detection|response_before_rq_complete|tx_reset|ws_on_non_ws_route|unknown.*)`), "not counted"},
	{names(`http\.[^.]+\.(rq_(redirect|reset_after_downstream_response_started|retry_skipped_request_not_complete)|downstream_.*reset.*|user_agent.*)`), "not counted"},
	{names(`listener\.[^.]+(\.[^.]+)*\.(connections_accepted_per_socket_event|downstream_listener_filter_.*|extension_config_missing|network_extension_config_missing|downstream_pre_cx_active|ssl\.(certificate|ciphers|curves|sigalgs|versions|fail_.*|ocsp.*|was_key.*)(\..*)?|server_ssl_socket_factory\..*)`), "not counted"},
	{names(`cluster_manager\..*|listener_manager\..*`), "but for those of configuration"},
}

// more are names that usher has and Envoy has not, or under another name.
var more = []exception{
	{names(`(istio|usher|process)_.*`), "Istio's proxies count these by a filter; ours"},
	{names(`http2\.rx_reset_flood|cluster\.http2\..*`), "codecs of all clusters together; nghttp2 counts no floods of resets"},
	{names(`cluster\.[^.]+\.(retry\..*|ssl\..*|upstream_rq_.*)`), "Envoy makes them when there is something to count"},
	{names(`http\.[^.]+\.rbac.*`), "as above"},
}

// differ are names that both have, with other values.
var differ = []exception{
	{names(`server\.(uptime|memory_.*|concurrency|version)`), "of the process"},
	{names(`server\.total_connections`), "Envoy's is as old as its last flush"},
	{names(`cluster\.[^.]+\.upstream_cx_(total|active|destroy|http1_total)`), "which of the pooled connections is taken is not the same"},
	{names(`http\.in\.downstream_cx_[rt]x_bytes_total`), "frames of HTTP/2 beside those of requests are others"},
	{names(`cluster\.[^.]+\.upstream_rq_pending_total`), "Envoy counts every request that waits for a pool; usher those that wait for a connection"},
}
