#!/usr/bin/env bash
# Runs tests and ends with `N passed, N failed, N skipped`, naming those that were
# skipped and why. usage: scripts/test.sh [go test flag]... [package]...
set -eu -o pipefail

go=${GO:-go}
summary=$(mktemp -d)
trap 'rm -rf "$summary"' EXIT
CGO_ENABLED=0 $go build -o "$summary/testsummary" ./scripts/testsummary

[ $# -gt 0 ] || set -- ./...
# testsummary tells what failed; the status of `go test` adds nothing to it.
{ $go test -json -timeout=15m "$@" 2>&1 || true; } | "$summary/testsummary"
