#!/usr/bin/env bash
# Builds one program and shows that it moves: a cold build of usher compiles some
# 1,500 packages. usage: scripts/build.sh OUTPUT PACKAGE LDFLAGS [TAGS]
set -eu -o pipefail

output=$1 package=$2 ldflags=$3 tags=${4:-}
go=${GO:-go}
mkdir -p "$(dirname "$output")"

if [ ! -e "$output" ] && [ "$package" = ./cmd/usher ]; then
  echo "Building. The first build fetches modules and compiles an API server and etcd: 4 to 6"
  echo "minutes on 2 cores. Later ones take seconds."
fi

# -v names a package when it is compiled; those that are in the build cache are not named.
$go build -v -trimpath -tags "$tags" -ldflags "$ldflags" -o "$output" "$package" 2>&1 | awk -v output="$output" '
  /^go: downloading / { fetched++; if (fetched % 25 == 0) print "  " fetched " modules fetched"; fflush(); next }
  /^[a-z][^ :]*(\/[^ :]*)*$/ { compiled++; if (compiled % 50 == 0) { print "  " output ": " compiled " packages compiled"; fflush() } next }
  { print; fflush() }
'
echo "built $output"
