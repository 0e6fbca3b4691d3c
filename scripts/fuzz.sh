#!/usr/bin/env bash
# Fuzzes every target of the module for $FUZZTIME (default 30s), one after another.
set -eu -o pipefail

go=${GO:-go}
time=${FUZZTIME:-30s}
for package in $($go list ./...); do
  for target in $($go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    echo "== $package $target"
    $go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
  done
done
