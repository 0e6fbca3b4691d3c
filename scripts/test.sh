#!/usr/bin/env bash
# Runs tests and ends with `N passed, N failed, N skipped`, naming those that were
# skipped and why. usage: scripts/test.sh [go test flag]... [package]...
#   MODULES  directories of modules below the root, of which ./... runs the tests too
set -eu -o pipefail

go=${GO:-go}
summary=$(mktemp -d)
trap 'rm -rf "$summary"' EXIT
CGO_ENABLED=0 $go build -o "$summary/testsummary" ./scripts/testsummary

[ $# -gt 0 ] || set -- ./...
# testsummary tells what failed; the status of `go test` adds nothing to it.
run() { $go test -json -timeout=15m "$@" 2>&1 || true; }
{
  run "$@"
  case " $* " in *" ./... "*) for module in ${MODULES:-}; do (cd "$module" && run "$@"); done ;; esac
} | "$summary/testsummary"
