#!/usr/bin/env bash
# Deletes the routing and policy objects of a namespace (default: tutorial). Services,
# workloads and what publishes the application (in istio-system) stay.
# usage: scripts/clean.sh [namespace]
set -eu

namespace=${1:-tutorial}
case $namespace in
-*) sed -n 's/^# //p' "$0" | sed -n '1,3p' && exit ;;
esac

if command -v kubectl >/dev/null 2>&1; then
  kubectl=(kubectl)
elif command -v usher >/dev/null 2>&1; then
  kubectl=(usher kubectl)
else
  kubectl=("$(cd "$(dirname "$0")/.." && pwd)/bin/usher" kubectl)
fi

kinds=(
  virtualservices.networking.istio.io
  destinationrules.networking.istio.io
  gateways.networking.istio.io
  serviceentries.networking.istio.io
  sidecars.networking.istio.io
  policies.authentication.istio.io
  requestauthentications.security.istio.io
  authorizationpolicies.security.istio.io
  peerauthentications.security.istio.io
)

# One call for all: a comma between kinds is kubectl's own way.
all=$(IFS=,; echo "${kinds[*]}")
"${kubectl[@]}" delete "$all" --all --namespace "$namespace" --ignore-not-found --timeout=30s
