#!/usr/bin/env bash
# Walks the chapter: end-user authentication with JWT, first as Policy, then as
# RequestAuthentication and AuthorizationPolicy. Shows every command with its output,
# checks it, and leaves the mesh running. Works on a mesh that is up, and after a
# crash. `make tutorial` builds what it needs and runs it.
set -eu -o pipefail

cd "$(dirname "$0")/../.."
export PATH="$PWD/bin:$PATH"
here=examples/tutorial
work=$(mktemp -d)
capture_pid=
finish() {
  [ -z "$capture_pid" ] || kill "$capture_pid" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

. "$here/walk-lib.sh"
. "$here/walk-steps.sh"

title "The mesh: API server, control plane, gateway and three services"
show usher up --detach -f $here/usher.yaml
show 'eval "$(usher env)"'
show scripts/clean.sh tutorial
show kubectl wait --timeout=20s --for=condition=Programmed --namespace istio-system \
  gateway/customer-gateway virtualservice/customer-gateway

title "Before start: nothing is left over from another chapter"
for kind in virtualservice destinationrule gateway policy; do
  show kubectl get $kind
  expect_output "No resources found in tutorial namespace."
done

walk_form() { # FILE OBJECT...: the object file, and what it creates
  local file=$1
  shift
  title "1. Everything is open ($form)"
  ask_until_open

  title "2. Switch authentication on ($form)"
  show kubectl create -f "$file"
  show kubectl wait --timeout=20s --for=condition=Programmed "$@"
  ask "$missing_status" "$missing"

  title "3. An invalid token is refused ($form)"
  ask 401 "${prefix}Jwt verification fails" "\$(cat $here/invalid.jwt)"

  title "4. A valid token passes ($form)"
  ask 200 "$answer" "\$(cat $here/valid.jwt)"
  ask 200 "$answer" "\$(usher token mint --issuer testing@secure.istio.io --subject testing@secure.istio.io)"

  title "5. A token with any character changed is refused ($form)"
  change_and_ask 4

  title "6. mTLS stays on between the services ($form)"
  mutual_tls

  title "7. Clean up ($form)"
  show kubectl delete -f "$file"
  ask_until_open
}

form="as Policy" prefix="Origin " missing_status=401 missing="Origin Jwt is missing"
walk_form istiofiles/enduser-authentication-jwt.yml policy/jwt-example

form="as RequestAuthentication" prefix="" missing_status=403 missing="RBAC: access denied"
walk_form istiofiles/enduser-authentication-jwt-istio.yml \
  requestauthentication/jwt-example authorizationpolicy/require-jwt

title "Done: every step answered as the chapter says"
cat <<EOF
The mesh goes on running. In a shell of yours:

    export PATH="$PWD/bin:\$PATH"${home_line:-}
    eval "\$(usher env)"
    curl \$GATEWAY_URL/customer
    usher status
    kubectl apply -f istiofiles/enduser-authentication-jwt-istio.yml
    kubectl apply -f istiofiles/authorization-policy-role-claim.yml      # the next chapter
    usher token mint --issuer testing@secure.istio.io --subject me --claim role=customer

Stop it with \`usher down\`; \`usher down --purge\` also deletes its objects, keys and logs.
EOF
