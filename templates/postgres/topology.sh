#!/usr/bin/env bash
# shellcheck disable=SC2154
# Part of bootstrap.sh: the topology, and what else the pods ask the API server.

# --- the topology -----------------------------------------------------------------------------------------

# The topology decides which pod is the master: its key `master` contains the name of the pod, or `none`. Its `epoch`
# rises with each new master. Before the first change, without the key, it is pod 0. The bootstrap reads the ConfigMap through the API, because a
# mounted copy may be a minute old. The server's container has no token: it uses what the bootstrap has read
# ($PGSET_RUN/topology and $PGSET_RUN/role).
master_pod='' recorded_identifier='' first_start='' epoch=1 pods='' transition='' rejoin='' pod_role=''
topology_version='' # of the ConfigMap
is_current=''       # whether the topology was read now: a mounted copy may be a minute old
read_run() {
  [ ! -s "$PGSET_RUN/topology" ] || read -r master_pod epoch pods recorded_identifier <"$PGSET_RUN/topology"
  [ ! -s "$PGSET_RUN/role" ] || read -r pod_role <"$PGSET_RUN/role"
}
read_run
role() { echo "${pod_role:-replica}"; }

read_topology() {
  local started=$SECONDS said=-10 answer body data
  if [ -z "${KUBERNETES_SERVICE_HOST:-}" ]; then
    log "no API server in the environment: the topology is read from $PGSET_TOPOLOGY"
    is_current=1
    use_topology mounted
    return
  fi
  need_openssl "to read the topology"
  while true; do
    answer=$(api GET "configmaps/$PGSET_NAME-topology")
    case $answer in
      "HTTP/1."?" 200"*)
        body=$(answered)
        if is_complete; then
          [[ ! $body =~ '"resourceVersion":"'([^\"]*) ]] || topology_version=${BASH_REMATCH[1]}
          data=$(sed -n 's/.*"data":{\(\("[^"]*":"\([^"\\]\|\\.\)*",\{0,1\}\)*\)}.*/,\1/p' <<<"$body")
          is_current=1
          use_topology recorded
          return
        fi
        answer="only a part of it"
        ;;
      "HTTP/1."?" 404"*)
        topology_version='' data='' is_current=1
        use_topology recorded
        return
        ;;
    esac
    # A standby can't become writable.
    if [ -e "$PGDATA/standby.signal" ] && [ $((SECONDS - started)) -ge "$PGSET_LABEL_WAIT" ]; then
      log "the topology can't be read (the API server at $(api_server) answered: $answer): starting as a standby, by $PGSET_TOPOLOGY"
      use_topology mounted
      return
    fi
    await_api_server "to read the topology (ConfigMap $PGSET_NAME-topology)" $E_TOPOLOGY "$answer"
  done
}
# Uses `started` and `said` of the caller. A refusal ends the script after a while. A server that gives no answer, or
# fails, is asked without end: nothing else knows who is the master.
await_api_server() { # what for, code of a refusal, answer
  local text waited=$((SECONDS - started))
  text="$1: the API server at $(api_server) answered: $3"
  if is_refusal "$3" && [ "$waited" -ge "$PGSET_LABEL_WAIT" ]; then die "$2" "$text"; fi
  if [ $((SECONDS - said)) -ge 10 ]; then
    log "waiting $text, $waited s"
    said=$SECONDS
  fi
  sleep 2
}
is_refusal() { # answer
  case $1 in
    "HTTP/1."?" 40"[489]* | "HTTP/1."?" 429"*) return 1 ;;
    "HTTP/1."?" 4"* | 'no token'* | *'verify error'*) ;;
    *) return 1 ;;
  esac
}
use_topology() { # command that prints the value of a key
  master_pod=$("$1" master) recorded_identifier=$("$1" system-identifier) first_start=$("$1" first-start)
  epoch=$("$1" epoch) pods=$("$1" pods) transition=$("$1" transition) rejoin=$("$1" rejoin)
  : "${epoch:=1}" "${pods:=0}"
  is_number "$epoch" && is_number "$pods" ||
    die $E_TOPOLOGY "ConfigMap $PGSET_NAME-topology: epoch $epoch and pods $pods have to be numbers"
  if [ -z "$master_pod" ]; then
    # A topology of an earlier pgset, or none.
    if [ "$epoch" -le 1 ] && [ -z "$transition" ]; then master_pod=$PGSET_NAME-0; else master_pod=none; fi
  fi
  follow_newest
  write_role
}
# Tells process 1 and the probes what this pod follows now.
write_role() {
  pod_role=replica
  [ "$PGSET_POD" != "$master_pod" ] || pod_role=master
  put "$PGSET_RUN/topology" "$master_pod $epoch $pods $recorded_identifier"
  put "$PGSET_RUN/role" "$pod_role"
}
mounted() { # key
  [ ! -s "$PGSET_TOPOLOGY/$1" ] || cat "$PGSET_TOPOLOGY/$1"
}
# The value of a key in the data of the ConfigMap (`data` of the caller: ,"key":"value",...): a name or a number, perhaps
# with a newline.
recorded() { # key
  local pattern=",\"$1\":\"([^\"\\]*)"
  [[ ! $data =~ $pattern ]] || echo "${BASH_REMATCH[1]}"
}
is_number() { [[ $1 =~ ^[0-9]{1,15}$ ]]; }
put() { # file, text: replaces the file in one step
  printf '%s\n' "$2" >"$1.new" && mv "$1.new" "$1"
}
put_durably() { # file, text: the same, and the file survives a power failure
  printf '%s\n' "$2" >"$1.new" || return 1
  sync "$1.new" 2>/dev/null || sync
  mv "$1.new" "$1" && sync_entry "$1"
}

# Beside the data directory is what its pod last knew: the identifier, the epoch, and the master of that epoch. A topology
# with an earlier epoch is a lost or an old one. It names a pod that may lack what the later master has written, so this
# pod starts as a standby without a master, and tells its peers and the person who looks what it knows.
known_identifier='' known_epoch=0 known_master=''
read_role_file() {
  [ -s "$PGDATA.role" ] || return 0
  read -r known_identifier known_epoch known_master <"$PGDATA.role" || true
  [[ $known_identifier =~ ^[0-9]{1,20}$ ]] && is_number "$known_epoch" && [ -n "$known_master" ] ||
    die $E_DIRECTORY "$PGDATA.role has to contain a system identifier, an epoch and the name of a pod: it contains $(head -c 100 "$PGDATA.role")"
}
follow_newest() {
  [ "$known_epoch" -gt "$epoch" ] || return 0
  log "ConfigMap $PGSET_NAME-topology has epoch $epoch and is not followed: $PGDATA knows system identifier $known_identifier, epoch $known_epoch, master $known_master: the newest is recorded again by $(pgset_command up)"
  master_pod=unknown epoch=$known_epoch
}
write_role_file() { # identifier, epoch, master
  known_identifier=$1 known_epoch=$2 known_master=$3
  [ "$(cat "$PGDATA.role" 2>/dev/null)" != "$*" ] || return 0
  put_durably "$PGDATA.role" "$*" 2>"$scratch/error" ||
    die $E_FULL "$PGDATA.role can't be written ($(reason "$scratch/error")): make the volume larger"
}

# Whether the answer (`body` of the caller) is a whole object: a connection may break in the middle of it.
is_complete() {
  local text opened closed
  text=$(sed 's/"\([^"\\]\|\\.\)*"//g' <<<"$body")
  opened=${text//[!\{]/} closed=${text//[!\}]/}
  [ -n "$opened" ] && [ ${#opened} = ${#closed} ]
}
# Records the identifier of new data at once, so that a lost volume is noticed whoever created the set. A topology that
# changed since it was read is a conflict (by its version, or by field manager), and is read again. If the API server
# refuses, the pod continues: `pgset up` records it, too.
record_identifier() {
  local identifier name=$PGSET_NAME started=$SECONDS said=-10 answer
  identifier=$(control 'Database system identifier')
  [ -n "${KUBERNETES_SERVICE_HOST:-}" ] || return 0
  while [ -z "$recorded_identifier" ]; do
    if [ -n "$topology_version" ]; then
      answer=$(api PATCH "configmaps/$name-topology?fieldManager=pgset-bootstrap" application/merge-patch+json \
        "{\"metadata\":{\"resourceVersion\":\"$topology_version\"},\"data\":{\"system-identifier\":\"$identifier\",\"first-start\":null}}")
    else
      answer=$(api PATCH "configmaps/$name-topology?fieldManager=pgset-bootstrap" application/apply-patch+yaml \
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"$name-topology\",\"labels\":{\"app\":\"$name\",\"app.kubernetes.io/instance\":\"$name\",\"app.kubernetes.io/managed-by\":\"pgset\"}},\"data\":{\"system-identifier\":\"$identifier\"}}")
    fi
    case $answer in
      "HTTP/1."?" 2"*)
        recorded_identifier=$identifier
        log "the system identifier $identifier is recorded in ConfigMap $name-topology"
        ;;
      "HTTP/1."?" 404"* | "HTTP/1."?" 409"*)
        sleep 0.2
        read_topology
        [ "$(role)" = master ] || die $E_TOPOLOGY "ConfigMap $name-topology names $master_pod as the master now: starting again"
        ;;
      *)
        if is_refusal "$answer" && [ $((SECONDS - started)) -ge "$PGSET_LABEL_WAIT" ]; then
          log "the system identifier $identifier is not recorded in ConfigMap $name-topology: the API server at $(api_server) answered: $answer"
          return
        fi
        await_api_server "to record the system identifier $identifier" $E_TOPOLOGY "$answer"
        ;;
    esac
  done
  check_identifier
}

# --- the label --------------------------------------------------------------------------------------------

# The master's Service selects pods by this label. It is set before the server starts, and the pod template
# sets it to the replica's value. So the replica Service never selects a server that accepts writes.
label() {
  local want=${PGSET_REPLICA_HOST:?} started=$SECONDS said=-10 answer
  [ "$(role)" = replica ] || want=${PGSET_MASTER_HOST:?}
  # The label when the container started. Nothing else changes it.
  if [ "$PGSET_POD_LABEL" = "$want" ]; then
    log "pod $PGSET_POD has the label name=$want"
    return
  fi
  if [ -z "${KUBERNETES_SERVICE_HOST:-}" ]; then
    log "no API server in the environment: the pod is not labelled"
    return
  fi
  need_openssl "to set the label name=$want of pod $PGSET_POD"
  while true; do
    # The status of a pod: a patch of it can change labels, but not images.
    answer=$(api PATCH "pods/$PGSET_POD/status?fieldManager=pgset-bootstrap" application/merge-patch+json "{\"metadata\":{\"labels\":{\"name\":\"$want\"}}}")
    case $answer in
      "HTTP/1."?" 2"*) break ;;
    esac
    await_api_server "to set the label name=$want of pod $PGSET_POD" $E_LABEL "$answer"
  done
  log "pod $PGSET_POD is labelled name=$want"
}

# --- the API server ---------------------------------------------------------------------------------------

api_server() { echo "$KUBERNETES_SERVICE_HOST:${KUBERNETES_SERVICE_PORT:-443}"; }
need_openssl() { # what for
  command -v openssl >/dev/null ||
    die $E_OPENSSL "the image has no openssl, which is needed $1: use an image with openssl (the Debian-based official image)"
}
# Sends one request about an object of the namespace. Prints the status line, and the server's message about a failure;
# `answered` prints the object. The token is sent through a pipe, and only to a server whose certificate contains the
# address and was issued by the cluster's CA.
api() { # method, path in the namespace, content type, body
  local host=$KUBERNETES_SERVICE_HOST port=${KUBERNETES_SERVICE_PORT:-443} content='' token verify=-verify_ip status message
  [ -r "$PGSET_TOKEN/token" ] || {
    echo "no token at $PGSET_TOKEN/token"
    return
  }
  token=$(<"$PGSET_TOKEN/token")
  case $host in
    *:*) ;;
    *[!0-9.]*) verify=-verify_hostname ;;
  esac
  local address=$host
  [[ $host != *:* ]] || address="[$host]"
  [ -z "${3:-}" ] || content=$(printf 'Content-Type: %s\r\nContent-Length: %d\r\n.' "$3" "${#4}")
  {
    printf '%s /api/v1/namespaces/%s/%s HTTP/1.1\r\n' "$1" "$PGSET_NAMESPACE" "$2"
    printf 'Host: %s:%s\r\nAuthorization: Bearer %s\r\n' "$address" "$port" "$token"
    printf 'Accept: application/json\r\nUser-Agent: pgset-bootstrap\r\nConnection: close\r\n%s\r\n%s' "${content%.}" "${4:-}"
  } | timeout 10 openssl s_client -quiet -connect "$address:$port" -CAfile "$PGSET_TOKEN/ca.crt" \
    -verify_return_error "$verify" "$host" >"$scratch/answer" 2>"$scratch/error" || true
  IFS= read -r status <"$scratch/answer" || true
  status=${status%$'\r'}
  case $status in
    "HTTP/1."?" 2"*) echo "$status" ;;
    HTTP/*)
      message=$(answered | grep -o '"message":"\([^"\\]\|\\.\)*"' | head -n 1 | cut -d: -f2-) || message=
      printf '%s%s\n' "$status" "${message:+: $message}"
      ;;
    *) tls_trouble ;;
  esac
}
# The answer's body: one line of JSON, without the sizes of its chunks if it is sent in chunks.
answered() {
  sed '1,/^\r$/d' "$scratch/answer" | tr -d '\n' | sed 's/^[0-9a-fA-F]*\r//; s/\r[0-9a-fA-F]*\r//g'
}
tls_trouble() { # prints the most specific error message of s_client
  local why
  why=$(grep -o -m 1 'verify error:.*' "$scratch/error") ||
    why=$(grep -m 1 -i 'errno=\|refused\|getaddrinfo\|alert' "$scratch/error") || why=$(reason "$scratch/error")
  printf 'nothing (%s)\n' "$why"
}
