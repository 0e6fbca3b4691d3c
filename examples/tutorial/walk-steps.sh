# Steps 5 and 6 of walk.sh. Sourced.

# changed TOKEN SECTION: the token with one character of its section (0 to 2), chosen
# at random, replaced by another one of the same alphabet.
changed() {
  local alphabet=ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_
  local rest=${1#*.} sections at c new
  sections=("${1%%.*}" "${rest%%.*}" "${rest#*.}")
  local text=${sections[$2]}
  at=$(((RANDOM * 32768 + RANDOM) % ${#text}))
  c=${text:at:1}
  new=$c
  while [ "$new" = "$c" ]; do new=${alphabet:RANDOM % 64:1}; done
  sections[$2]=${text:0:at}$new${text:at+1}
  printf '%s.%s.%s' "${sections[0]}" "${sections[1]}" "${sections[2]}"
}

# change_and_ask N: N changes of each section of valid.jwt, each refused.
change_and_ask() {
  local valid section n token names
  valid=$(cat "$here/valid.jwt")
  names=(header payload signature)
  for section in 0 1 2; do
    for n in $(seq "$1"); do
      token=$(changed "$valid" "$section")
      fetch -H "Authorization: Bearer $token" "$GATEWAY_URL/customer"
      printf 'one character of the %s changed: %s %s\n' "${names[section]}" "$status" "$body"
      [ "$status" = 401 ] && matches "$body" "${prefix}Jw[a-z]+ .*" ||
        fail "status 401 and ${prefix}Jwt ..." "status $status and $body" workloads/tutorial/customer-v1/access.log
    done
  done
}

# plaintext: what curl gets at the sidecar of preference without mutual TLS.
plaintext() {
  inbound=$(kubectl get workloadentry preference-v1 -o 'jsonpath={.spec.address}:{.spec.ports.http}')
  printf '$ curl http://%s/    # the sidecar of preference, in clear\n' "$inbound"
  fetch "http://$inbound/"
}

mutual_tls() {
  show kubectl apply -f istiofiles/mtls-strict.yml
  show kubectl wait --timeout=20s --for=condition=Programmed peerauthentication/default
  plaintext
  printf 'curl: no answer (%s)\n' "$status"
  [ "$status" = 000 ] ||
    fail "no answer to a request in clear" "status $status and $body" workloads/tutorial/preference-v1/proxy.log
  ask 200 "$answer" "\$(cat $here/valid.jwt)"
  if [ "$(id -u)" = 0 ] && command -v tcpdump >/dev/null 2>&1; then
    on_the_wire STRICT hidden
    local mode
    for mode in PERMISSIVE DISABLE; do
      show kubectl patch peerauthentication default --type merge -p "'{\"spec\":{\"mtls\":{\"mode\":\"$mode\"}}}'"
      show kubectl wait --timeout=20s --for=condition=Programmed peerauthentication/default
      if [ $mode = DISABLE ]; then on_the_wire $mode readable; else on_the_wire $mode hidden; fi
    done
  else
    echo "(to look at the packets too, run as root where tcpdump is)"
  fi
  show kubectl delete -f istiofiles/mtls-strict.yml
}

# on_the_wire MODE hidden|readable: captures what goes to the sidecar of preference
# during one request with a token, and looks for the token in it.
on_the_wire() {
  local token found=hidden n
  token=$(cat "$here/valid.jwt")
  # -Z: the file is in a folder of root's; the packets come at once, not in blocks.
  : >"$work/tcpdump"
  tcpdump -i lo -U --immediate-mode -Z root -w "$work/packets" "tcp port ${inbound##*:} and host ${inbound%:*}" 2>"$work/tcpdump" &
  capture_pid=$!
  for n in $(seq 50); do
    grep -q 'listening on' "$work/tcpdump" && break
    kill -0 "$capture_pid" 2>/dev/null || fail "tcpdump runs" "$(cat "$work/tcpdump")"
    sleep 0.1
  done
  ask 200 "$answer" "\$(cat $here/valid.jwt)"
  for n in $(seq 50); do
    [ "$(wc -c <"$work/packets")" -gt 500 ] && break
    sleep 0.1
  done
  kill -INT "$capture_pid"
  wait "$capture_pid" || true
  capture_pid=
  grep -aqF "$token" "$work/packets" && found=readable
  n=$(wc -c <"$work/packets")
  [ "$n" -gt 500 ] || fail "packets between customer and preference" "none were captured" workloads/tutorial/customer-v1/proxy.log
  printf 'captured between customer and preference with %s: the token is %s\n' "$1" "$found"
  [ "$found" = "$2" ] || fail "a $2 token on the wire with $1" "a $found one" workloads/tutorial/preference-v1/proxy.log
}
