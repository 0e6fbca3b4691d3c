#!/usr/bin/env bash
# Runs end-to-end tests with a data plane that was built with the race detector; the
# harness fails a test whose proxies report a race. usage: scripts/race.sh TESTFLAGS...
set -eu -o pipefail
cd "$(dirname "$0")/.."

go=${GO:-go}
bin=$PWD/.cache/race
mkdir -p "$bin"
cp bin/usher bin/tutorial "$bin/"
CGO_ENABLED=1 $go build -race -trimpath -o "$bin/usher-proxy" ./cmd/usher-proxy
USHER_TEST_BIN=$bin $go test -count=1 -v -timeout 8m "$@"
