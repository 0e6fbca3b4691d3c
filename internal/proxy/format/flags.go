package format

import "strings"

// longFlags are Envoy's long names of its response flags.
var longFlags = map[string]string{
	"LH": "FailedLocalHealthCheck", "UH": "NoHealthyUpstream", "UT": "UpstreamRequestTimeout", "LR": "LocalReset", "UR": "UpstreamRemoteReset",
	"UF": "UpstreamConnectionFailure", "UC": "UpstreamConnectionTermination", "UO": "UpstreamOverflow", "NR": "NoRouteFound",
	"DI": "DelayInjected", "FI": "FaultInjected", "RL": "RateLimited", "UAEX": "UnauthorizedExternalService", "RLSE": "RateLimitServiceError",
	"DC": "DownstreamConnectionTermination", "URX": "UpstreamRetryLimitExceeded", "SI": "StreamIdleTimeout", "IH": "InvalidEnvoyRequestHeaders",
	"DPE": "DownstreamProtocolError", "UMSDR": "UpstreamMaxStreamDurationReached", "RFCF": "ResponseFromCacheFilter",
	"NFCF": "NoFilterConfigFound", "DT": "DurationTimeout", "UPE": "UpstreamProtocolError", "NC": "NoClusterFound",
	"OM": "OverloadManagerTerminated", "DF": "DnsResolutionFailed", "DO": "DropOverLoad", "DR": "DownstreamRemoteReset", "UDO": "UnconditionalDropOverload",
}

// ResponseFlag tells whether there is such a flag.
func ResponseFlag(short string) bool { return longFlags[short] != "" }

func responseFlags(b []byte, s *Subject) ([]byte, kind) {
	f := s.X.ResponseFlags()
	if f == "" {
		f = "-"
	}
	return append(b, f...), text
}

func responseFlagsLong(b []byte, s *Subject) ([]byte, kind) {
	flags := s.X.ResponseFlags()
	if flags == "" {
		return append(b, '-'), text
	}
	for i, f := range strings.Split(flags, ",") {
		if i > 0 {
			b = append(b, ',')
		}
		if long := longFlags[f]; long != "" {
			f = long
		}
		b = append(b, f...)
	}
	return b, text
}
