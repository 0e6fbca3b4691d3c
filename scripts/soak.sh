#!/usr/bin/env bash
# The full counts, in pieces of less than 10 minutes each. What has passed on this
# very commit is not run again, so an interrupted run goes on where it was.
# usage: scripts/soak.sh [-l] [pattern]     -l: list the pieces and how they stand
#   SOAK_TIME  start no further piece after so many seconds (default: no bound)
#   FUZZTIME   of each fuzz piece (default 5m); corpora are kept between pieces
set -eu -o pipefail
cd "$(dirname "$0")/.."

go=${GO:-go}
state=.cache/soak/$(git rev-parse --short=12 HEAD)$([ -z "$(git status --porcelain)" ] || echo -dirty)
mkdir -p "$state"

# A piece a line: its name, then the command. Fuzzing comes twice, since ten minutes
# are two pieces.
pieces() {
  cat scripts/soak.pieces
  local file package target round
  for round in 1 2; do
    grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do
      package=$(dirname "$file")
      sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
        echo "fuzz-$round-${package#./internal/}-$target" \
          "$go test -run ^\$ -fuzz ^$target\$ -fuzztime ${FUZZTIME:-5m} -fuzzminimizetime 1s -parallel 2 $package"
      done
    done
  done
}

list=
[ "${1:-}" != -l ] || { list=1 && shift; }
pattern=${1:-.}
began=$SECONDS passed=0 failed=0 left=0
while read -r name command; do
  log=$state/${name//\//_}
  if [ -e "$log.passed" ]; then
    passed=$((passed + 1)) && [ -z "$list" ] || echo "passed  $name"
    continue
  fi
  if [ -n "$list" ] || { [ -n "${SOAK_TIME:-}" ] && [ $((SECONDS - began)) -ge "$SOAK_TIME" ]; }; then
    left=$((left + 1)) && [ -z "$list" ] || echo "to do   $name"
    continue
  fi
  printf '%s  %s\n' "$(date +%H:%M:%S)" "$name"
  if USHER_SOAK=1 timeout 600 bash -c "$command" >"$log.log" 2>&1 </dev/null; then
    mv "$log.log" "$log.passed" && passed=$((passed + 1))
    # What a piece has to tell: counts and figures of tests, the last line of fuzzing.
    { grep -E '^ +[a-z_]+_test\.go:[0-9]+: ' "$log.passed" || grep 'fuzz: elapsed' "$log.passed" | tail -n 1; } || true
  else
    failed=$((failed + 1)) && tail -n 40 "$log.log"
  fi
done < <(pieces | grep -v '^#' | grep -E -- "$pattern")

echo "soak: $passed passed, $failed failed, $left left"
[ "$failed" = 0 ]
