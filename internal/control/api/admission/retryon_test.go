package admission

import (
	"fmt"
	"testing"
)

func TestRetryOn(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "[] [] []",
		" 5xx , reset,,":               "[5xx reset] [] []",
		"503,connect-failure":          "[connect-failure retriable-status-codes] [503] []",
		"retriable-status-codes,500":   "[retriable-status-codes] [500] []",
		"5XX,999,+503,-1,gateway-erro": "[retriable-status-codes] [503] [5XX 999 -1 gateway-erro]",
	} {
		conditions, statuses, unknown := RetryOn(text)
		if got := fmt.Sprint(conditions, statuses, unknown); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
