#!/usr/bin/env bash
# Runs go generate and fails if that changes a file.
set -eu -o pipefail

go=${GO:-go}
state() { git ls-files -z --cached --others --exclude-standard | xargs -0 cksum 2>/dev/null | sort; }

before=$(mktemp) after=$(mktemp)
trap 'rm -f "$before" "$after"' EXIT
state >"$before"
$go generate ./...
state >"$after"
if ! cmp -s "$before" "$after"; then
  echo "go generate changed these files (they are now as they should be; commit them):"
  diff "$before" "$after" | awk '/^>/ { print "  " $4 }'
  exit 1
fi
