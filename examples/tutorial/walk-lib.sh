# Parts of walk.sh: show a command, check what came, say what is wrong. Sourced.

if command -v kubectl >/dev/null 2>&1; then :; else
  kubectl() { usher kubectl "$@"; }
  echo "There is no kubectl here: the one that is built into usher takes its place."
fi
if [ -n "${USHER_HOME:-}" ]; then
  home_line="
    export USHER_HOME=\"$USHER_HOME\""
fi

answer="customer => preference => recommendation v1 from 'recommendation-v1-[a-z0-9]{8,10}-[a-z0-9]{5}': [0-9]+"
output= # of the last command

title() { printf '\n== %s\n' "$*"; }

# fail WANT GOT LOG...: the end, with what to read.
fail() {
  printf '\nThis step went wrong.\n  expected: %s\n  came:     %s\n' "$1" "$2" >&2
  shift 2
  local dir=${USHER_HOME:-${XDG_STATE_HOME:-$HOME/.local/state}/usher} log
  for log in "$@"; do printf '  read:     %s/%s\n' "$dir" "$log" >&2; done
  printf '  and:      usher status; kubectl get policy,requestauthentication,authorizationpolicy,peerauthentication -o yaml\n' >&2
  exit 1
}

# show COMMAND...: prints it, runs it in this shell, prints its output. It must
# succeed.
show() {
  printf '$ %s\n' "$*"
  local status=0
  eval "$*" >"$work/output" 2>&1 || status=$?
  output=$(cat "$work/output")
  [ -z "$output" ] || printf '%s\n' "$output"
  [ "$status" -eq 0 ] || fail "exit status 0" "exit status $status" log
}

expect_output() {
  [ "$output" = "$1" ] || fail "$1" "$output" log
}

# matches TEXT PATTERN: whether the extended regular expression is all of the text.
matches() { printf '%s' "$1" | grep -Eqx -- "$2"; }

# fetch CURL-ARGUMENT...: sets status (000: no answer) and body.
fetch() {
  : >"$work/body"
  status=$(curl --silent --noproxy '*' --max-time 10 --output "$work/body" --write-out '%{http_code}' "$@" 2>"$work/error") || true
  body=$(cat "$work/body")
}

# ask STATUS BODY [TOKEN]: the chapter's curl. BODY is the exact text, except that of
# status 200, which is a pattern. TOKEN is shown as it is written, a command.
ask() {
  local token=
  if [ $# -gt 2 ]; then
    printf '$ curl $GATEWAY_URL/customer -H "Authorization: Bearer %s"\n' "$3"
    eval "token=\"$3\""
    fetch -H "Authorization: Bearer $token" "$GATEWAY_URL/customer"
  else
    printf '$ curl $GATEWAY_URL/customer\n'
    fetch "$GATEWAY_URL/customer"
  fi
  printf '%s\n' "$body"
  local good=no
  if [ "$1" = 200 ]; then
    matches "$body" "$2" && good=yes
  elif [ "$body" = "$2" ]; then
    good=yes
  fi
  [ "$status" = "$1" ] && [ "$good" = yes ] ||
    fail "status $1 and $2" "status $status and ${body:-$(cat "$work/error")}" \
      workloads/istio-system/istio-ingressgateway/access.log \
      workloads/tutorial/customer-v1/access.log workloads/tutorial/customer-v1/proxy.log
}

# ask_until_open asks without a token; a deletion has no condition to wait for, so it
# has 5 seconds until every proxy has heard of it.
ask_until_open() {
  local try
  for try in $(seq 50); do
    fetch "$GATEWAY_URL/customer"
    [ "$status" = 200 ] && break
    sleep 0.1
  done
  ask 200 "$answer"
}
