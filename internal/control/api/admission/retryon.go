package admission

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// retryConditions are what Envoy's retry_on and retry_grpc_on know.
var retryConditions = []string{
	"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited", "retriable-4xx", "refused-stream",
	"retriable-status-codes", "retriable-headers", "http3-post-connect-failure",
	"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
}

// RetryOn reads HTTPRetry.retry_on as Istio does: conditions, of which a number is a
// status of HTTP, and those that are neither.
func RetryOn(text string) (conditions []string, statuses []uint32, unknown []string) {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		n, err := strconv.Atoi(part)
		switch {
		case part == "":
		case err == nil && http.StatusText(n) != "":
			statuses = append(statuses, uint32(n))
		case slices.Contains(retryConditions, part):
			conditions = append(conditions, part)
		default:
			unknown = append(unknown, part)
		}
	}
	if len(statuses) > 0 && !slices.Contains(conditions, "retriable-status-codes") {
		conditions = append(conditions, "retriable-status-codes")
	}
	return conditions, statuses, unknown
}
