#!/usr/bin/env bash
# Runs in each pod of a PostgreSQL replica set: prepares the data directory and starts the server.
#
#   bootstrap.sh              init container: label the pod; make, check or clone the data directory
#   bootstrap.sh serve        main container: take the lock on the volume, start the server, and wait for its end
#   bootstrap.sh ready        readiness probe: the server does what the pod's role says
#   bootstrap.sh alive        liveness probe: the server answers
#   bootstrap.sh checkpoint   preStop hook: a checkpoint, so that the shutdown is short
#   bootstrap.sh tls          make the running server use the mounted certificates, and print them
#
# Each kind of error has its own exit code, and its last log line is `bootstrap: error: ...`:
readonly E_USAGE=2         # an unknown subcommand, or a variable is missing
readonly E_OPENSSL=10      # the image has no openssl: the pod can't label itself
readonly E_LABEL=11        # the API server did not accept the label
readonly E_VOLUME=12       # the volume is not writable for this uid
readonly E_LOCKED=13       # another server holds the data directory
readonly E_LOST=14         # the master's volume is empty, although the set has data
readonly E_STRANGER=15     # the data directory belongs to another set (system identifier)
readonly E_VERSION=16      # the data directory is of another major version
readonly E_DIRECTORY=17    # the directory is not a PostgreSQL data directory
readonly E_INITDB=18       # initdb failed
readonly E_ROLES=19        # the roles and the database could not be created
readonly E_PASSWORD=20     # the master refuses the replication role
readonly E_CLONE=21        # the clone failed too often
readonly E_FULL=22         # the volume is full
readonly E_DIVERGED=23     # this replica has WAL that the master never had
readonly E_UNPREPARED=24   # `serve` without a previous bootstrap
readonly E_TLS=25          # TLS is required, and there is no certificate or its key does not match
readonly E_TOPOLOGY=26     # the API server refuses to show the topology, or the topology names another master by now

set -Eeuo pipefail
umask 077
export LC_ALL=C

# Every path can be changed, so that the script can run without a container.
: "${PGSET_ETC:=/etc/pgset}"                # postgresql.conf, pg_hba.conf; tls, unless TLS is off
: "${PGSET_RUN:=/run/pgset}"                # in memory, shared: passfile, certificates, bootstrap.conf
: "${PGSET_AUTH:=/etc/pgset-auth}"          # one file per password
: "${PGSET_TLS:=/etc/pgset-tls}"            # ca.crt, tls.crt, tls.key; may be missing
: "${PGSET_TOPOLOGY:=/etc/pgset-topology}"  # system-identifier, master; each may be missing, or a minute old
: "${PGSET_TOKEN:=/var/run/secrets/kubernetes.io/serviceaccount}"
: "${PGSET_SOCKETS:=/var/run/postgresql}"
: "${PGSET_TMP:=/tmp}"
: "${PGSET_TERMINATION_LOG:=/dev/termination-log}"
: "${PGPORT:=5432}"
: "${PGSET_MASTER_PORT:=$PGPORT}"
: "${PGSET_MASTER_ADDRESSES:=}"             # where replicas connect to the master, instead of its names
: "${PGSET_POD_LABEL:=}"                    # the pod's label `name`
: "${PGSET_LISTEN:=}"                       # the addresses to listen on; the default is all, in postgresql.conf
: "${PGSET_LOCALE:=C.UTF-8}"
: "${PGSET_ORIGIN:=initdb}"                 # how the master gets its first data: initdb
: "${PGSET_LOCK_WAIT:=120}"                 # seconds to wait for the lock on the data directory
: "${PGSET_LABEL_WAIT:=30}"                 # seconds to retry what the API server refuses
: "${PGSET_TLS_WAIT:=60}"                   # seconds to wait for a certificate
: "${PGSET_PASSWORD_WAIT:=60}"              # seconds to retry a rejected password, which may be rotating
: "${PGSET_MASTER_WAIT:=300}"               # seconds after which a valid standby starts without its master
: "${PGSET_PEERS:=}"                        # the other pods, as ADDRESS:PORT; the default is to ask the Service
: "${PGSET_PEER_WAIT:=10}"                  # seconds to ask a peer again that gives no answer
: "${PGSET_SILENCE:=20}"                   # seconds without an answer after which a stopping server is killed
: "${PGSET_MAX_DELAY:=300}"                 # seconds after which received WAL must be replayed
: "${PGSET_CLONE_TRIES:=5}"                 # failures of a clone, not counting those while the master is down
export PGSET_AUTH
# Debian's psql in /usr/bin is a wrapper that is many times slower than psql itself.
server=$(command -v postgres) || server=
[ -z "$server" ] || [[ $PATH == "${server%/*}":* ]] || PATH=${server%/*}:$PATH

# Options of every connection that runs SQL as a superuser: a user's function or operator must never run with these
# rights. They take precedence over the settings of a role and of a database.
readonly SQL_OPTIONS='-c search_path=pg_catalog,pg_temp'

log() { printf 'bootstrap: %s\n' "$*" >&2; }
die() { # code message
  local code=$1
  shift
  log "error: $*"
  exit "$code"
}

scratch=
child=
result= # what the bootstrap did, for the pod's termination message
clean_up() {
  # SIGQUIT stops a server at once. Other programs may ignore it, so send SIGTERM as well.
  [ -z "$child" ] || { kill -QUIT "$child" && kill -TERM "$child"; } 2>/dev/null || true
  [ -z "$scratch" ] || rm -rf "$scratch"
}
stopped() {
  log "stopped by a signal"
  exit 143
}
# Process 1 ignores the signals that it does not handle. Without this trap, a pod that is deleted while it
# waits would run until its grace period ends.
trap stopped TERM INT
trap clean_up EXIT
trap 'log "error: line $LINENO of ${FUNCNAME[0]:-bootstrap.sh} failed"' ERR

# Runs a slow command in the background, because a shell handles signals only between foreground commands.
# Writes the command's output to $scratch/output.
attended() {
  local status=0
  "$@" >"$scratch/output" 2>&1 &
  child=$!
  wait "$child" || status=$?
  child=
  return "$status"
}
# Prints the reason of an error: a program's first error message. Later ones are hints and consequences.
reason() { # file
  {
    grep -m 1 'error:\|ERROR:\|FATAL:\|PANIC:' "$1" || grep '[^[:space:]]' "$1" | tail -n 1 || echo 'it gives no reason'
  } | sed 's/^[a-z_]*: *error: *//; s/^.* failed: //; s/^.*\(ERROR\|FATAL\|PANIC\): *//'
}
disk_is_full() { grep -q 'No space left on device' "$scratch/output"; }

need() { # variables...
  local variable
  for variable; do
    [ -n "${!variable:-}" ] || die $E_USAGE "the variable $variable is not set"
  done
}

# --- the role ---------------------------------------------------------------------------------------------

# The topology decides which pod is the master: its key `master` contains the name of the pod, or `none`. Without the
# key it is pod 0. The bootstrap reads the ConfigMap through the API, because a mounted copy may be a minute old. The
# server's container has no token: it uses what the bootstrap has read ($PGSET_RUN/topology).
master_pod=${PGSET_NAME-}-0 recorded_identifier='' first_start='' topology_version=''
[ ! -s "$PGSET_RUN/topology" ] || master_pod=$(<"$PGSET_RUN/topology")
read_topology() {
  local started=$SECONDS said=-10 answer data
  if [ -z "${KUBERNETES_SERVICE_HOST:-}" ]; then
    log "no API server in the environment: the topology is read from $PGSET_TOPOLOGY"
    use_topology "$(mounted master)" "$(mounted system-identifier)" "$(mounted first-start)"
    return
  fi
  need_openssl "to read the topology"
  while true; do
    answer=$(api GET "configmaps/$PGSET_NAME-topology")
    case $answer in
      "HTTP/1."?" 200"*)
        if is_complete; then
          topology_version=$(grep -o '"resourceVersion":"[^"]*"' "$scratch/body" | head -n 1 | cut -d '"' -f 4)
          data=$(sed -n 's/.*"data":{\(\("[^"]*":"\([^"\\]\|\\.\)*",\{0,1\}\)*\)}.*/,\1/p' "$scratch/body")
          use_topology "$(value master "$data")" "$(value system-identifier "$data")" "$(value first-start "$data")"
          return
        fi
        answer="only a part of it"
        ;;
      "HTTP/1."?" 404"*)
        topology_version=''
        use_topology '' '' ''
        return
        ;;
    esac
    # A standby can't become writable.
    if [ -e "$PGDATA/standby.signal" ] && [ $((SECONDS - started)) -ge "$PGSET_LABEL_WAIT" ]; then
      log "the topology can't be read (the API server at $(api_server) answered: $answer): starting as a standby, by $PGSET_TOPOLOGY"
      use_topology "$(mounted master)" "$(mounted system-identifier)" ''
      return
    fi
    await_api_server "to read the topology" "$answer"
  done
}
# Without an answer it is not known which pod is the master, so the pod waits. A refusal ends it, and shows the reason.
# Uses `started` and `said` of the caller.
await_api_server() { # what for, answer
  local text waited=$((SECONDS - started))
  text="$1 (ConfigMap $PGSET_NAME-topology): the API server at $(api_server) answered: $2"
  if is_refusal "$2" && [ "$waited" -ge "$PGSET_LABEL_WAIT" ]; then die $E_TOPOLOGY "$text"; fi
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
use_topology() { # master, identifier, first start
  master_pod=${1:-$PGSET_NAME-0} recorded_identifier=$2 first_start=$3
  printf '%s\n' "$master_pod" >"$PGSET_RUN/topology.new"
  mv "$PGSET_RUN/topology.new" "$PGSET_RUN/topology"
}
mounted() { # key
  [ ! -s "$PGSET_TOPOLOGY/$1" ] || tr -d '[:space:]' <"$PGSET_TOPOLOGY/$1"
}
# The value of a key in the data of a ConfigMap: a name or a number, perhaps with a newline.
value() { # key, data: ,"key":"value",...
  sed -n "s/.*,\"$1\":\"\([^\"\\\\]*\).*/\1/p" <<<"$2"
}
# Whether the answer is a whole object: a connection may break in the middle of it.
is_complete() {
  local text opened closed
  text=$(sed 's/"\([^"\\]\|\\.\)*"//g' "$scratch/body")
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
        await_api_server "to record the system identifier $identifier" "$answer"
        ;;
    esac
  done
  check_identifier
}
role() { if [ "$PGSET_POD" = "$master_pod" ]; then echo master; else echo replica; fi; }

# The hosts at which a replica looks for the master before its own server runs, in libpq's notation. In a new
# set, and for a clone, it tries the pod's name first, which resolves at once. The Service routes to the pod only seconds
# later (probes, endpoints, kube-proxy). Otherwise only the Service is used: the pod's name may still resolve to an
# address that the pod no longer has.
master_hosts() {
  local pod=$master_pod.$PGSET_NAME.$PGSET_NAMESPACE.svc service=${PGSET_MASTER_HOST:?}
  if [ -n "$PGSET_MASTER_ADDRESSES" ]; then
    echo "$PGSET_MASTER_ADDRESSES"
  elif { [ -z "$recorded_identifier" ] || is_empty "$PGDATA"; } && may_ask "$pod"; then
    echo "$pod,$service"
  else
    echo "$service"
  fi
}
# All servers have the same certificate, and after a failed verification libpq does not try the next host.
may_ask() { # host
  [ "$(tls_mode)" = prefer ] || openssl x509 -noout -checkhost "$1" -in "$PGSET_RUN/tls/tls.crt" | grep -q 'does match'
}

# --- the label --------------------------------------------------------------------------------------------

# The master's Service selects pods by this label. It is set before the server starts, and the pod template
# sets it to the replica's value. So the replica Service never selects a server that accepts writes.
label() {
  local want=${PGSET_REPLICA_HOST:?} delay=1 started=$SECONDS answer
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
    [ $((SECONDS - started)) -lt "$PGSET_LABEL_WAIT" ] ||
      die $E_LABEL "label name=$want of pod $PGSET_POD: the API server at $(api_server) answered: $answer"
    log "label name=$want: $answer; retrying in ${delay}s"
    sleep "$delay"
    delay=$((delay < 5 ? delay * 2 : 5))
  done
  log "pod $PGSET_POD is labelled name=$want"
}

# --- the API server ---------------------------------------------------------------------------------------

api_server() { echo "$KUBERNETES_SERVICE_HOST:${KUBERNETES_SERVICE_PORT:-443}"; }
need_openssl() { # what for
  command -v openssl >/dev/null ||
    die $E_OPENSSL "the image has no openssl, which is needed $1: use an image with openssl (the Debian-based official image)"
}
# Sends one request about an object of the namespace. Prints the status line and the server's message; the answer is in
# $scratch/answer, its body in $scratch/body. The token is sent through a pipe, and only to a server whose certificate contains the address and was
# issued by the cluster's CA.
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
  status=$(sed -n '1{s/\r$//;p;}' "$scratch/answer")
  # One line of JSON, without the sizes of its chunks if it is sent in chunks.
  sed '1,/^\r$/d' "$scratch/answer" | tr -d '\n' | sed 's/^[0-9a-fA-F]*\r//; s/\r[0-9a-fA-F]*\r//g' >"$scratch/body"
  case $status in
    HTTP/*)
      message=$(grep -o '"message":"\([^"\\]\|\\.\)*"' "$scratch/body" | head -n 1 | cut -d: -f2-) || message=
      printf '%s%s\n' "$status" "${message:+: $message}"
      ;;
    *) tls_trouble ;;
  esac
}
tls_trouble() { # prints the most specific error message of s_client
  local why
  why=$(grep -o -m 1 'verify error:.*' "$scratch/error") ||
    why=$(grep -m 1 -i 'errno=\|refused\|getaddrinfo\|alert' "$scratch/error") || why=$(reason "$scratch/error")
  printf 'nothing (%s)\n' "$why"
}

# --- the volume and its lock ------------------------------------------------------------------------------

check_volume() {
  local volume=${PGDATA%/*} uid gid
  uid=$(id -u) gid=$(id -g)
  [ -d "$volume" ] || die $E_VOLUME "directory $volume does not exist: mount the volume there"
  if ! { : >>"$PGDATA.lock"; } 2>"$scratch/error"; then
    grep -q 'No space left' "$scratch/error" && die $E_FULL "the volume at $volume is full: make it larger"
    grep -q 'Read-only' "$scratch/error" && die $E_VOLUME "the volume at $volume is mounted read-only: mount it read-write"
    die $E_VOLUME "the volume at $volume is not writable for uid $uid, gid $gid (it is $(stat -c '%u:%g, mode %a' "$volume")): on the storage run \`chown $uid:$gid DIRECTORY && chmod 770 DIRECTORY\` (NFS: on the server), or give the pod fsGroup $gid"
  fi
}

# Takes the lock on the data directory. Child processes and the server inherit the file descriptor, so the
# lock is held until the last of them ends. The lock protects a shared volume: two pods can't use the same
# directory.
lock() {
  local started=$SECONDS said=-10 status
  exec 9>>"$PGDATA.lock"
  while true; do
    status=0
    flock -n 9 2>"$scratch/error" || status=$?
    [ "$status" != 0 ] || return 0
    [ "$status" = 1 ] || die $E_VOLUME "the volume does not support file locks: $(reason "$scratch/error")"
    [ $((SECONDS - started)) -lt "$PGSET_LOCK_WAIT" ] ||
      die $E_LOCKED "another process holds $PGDATA.lock after $((SECONDS - started)) s: another server runs on $PGDATA; stop it first"
    if [ $((SECONDS - said)) -ge 10 ]; then
      log "waiting for the lock on $PGDATA (another process holds it), $((SECONDS - started)) s"
      said=$SECONDS
    fi
    sleep 0.2
  done
}

is_empty() { [ ! -e "$1" ] || [ -z "$(ls -A "$1")" ]; }
sync_entry() { sync "${1%/*}" 2>/dev/null || sync; } # makes a rename in that directory durable
put_in_place() {                                     # renames $PGDATA.new to $PGDATA atomically
  mv -T "$PGDATA.new" "$PGDATA"
  sync_entry "$PGDATA"
}
# Deletes a directory that was not renamed: the process that created it was killed.
clear_half() {
  [ ! -e "$PGDATA.new" ] || log "deleting $PGDATA.new, which is incomplete"
  rm -rf "$PGDATA.new"
}
# One fsync of all files at the end is faster than many fsyncs on the way.
sync_directory() { # directory
  attended initdb --sync-only -D "$1" || {
    disk_is_full && die $E_FULL "the volume is full: make it larger"
    die $E_VOLUME "$1 can't be written to the disk: $(reason "$scratch/output")"
  }
}

# --- facts of a data directory ----------------------------------------------------------------------------

control() { # field: prints its value from $scratch/control
  sed -n "s/^$1: *//p" "$scratch/control"
}
read_control() {
  pg_controldata -D "$PGDATA" >"$scratch/control" 2>"$scratch/error" ||
    die $E_DIRECTORY "$PGDATA/global/pg_control can't be read: $(reason "$scratch/error")"
}
image_major() { postgres --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/'; }
# The directory must match the image and the set. A server of another major version would not start, and the
# directory of another set would give clients the wrong data.
check_existing() {
  local major
  [ -s "$PGDATA/PG_VERSION" ] ||
    die $E_DIRECTORY "$PGDATA contains files but no PG_VERSION: it is not a data directory; move it away"
  major=$(<"$PGDATA/PG_VERSION")
  [ "$major" = "$(image_major)" ] ||
    die $E_VERSION "$PGDATA was created by PostgreSQL $major and the image is PostgreSQL $(image_major): use an image of $major, or dump with $major and restore into a new set"
  read_control
  check_identifier
}
check_identifier() {
  local identifier
  identifier=$(control 'Database system identifier')
  [ -z "$recorded_identifier" ] || [ "$recorded_identifier" = "$identifier" ] ||
    die $E_STRANGER "$PGDATA has the system identifier $identifier and this set has $recorded_identifier: it is another set's volume; mount the right one"
}

lsn_value() { # 16/B374D848 -> a number
  local high=${1%/*} low=${1#*/}
  echo $(((16#$high << 32) + 16#$low))
}
lsn_text() { printf '%X/%X\n' $(($1 >> 32)) $(($1 & 0xFFFFFFFF)); }

# --- what the server includes -----------------------------------------------------------------------------

# libpq escapes a quote as 'it\'s', postgresql.conf as 'it''s'. Both treat a backslash as special.
quote_libpq() {
  local text=${1//\\/\\\\}
  printf "'%s'" "${text//\'/\\\'}"
}
quote_setting() {
  local text=${1//\\/\\\\}
  printf "'%s'" "${text//\'/\'\'}"
}
conninfo() { # application name, hosts
  printf 'host=%s port=%s user=%s passfile=%s application_name=%s sslmode=%s' "$(quote_libpq "$2")" "$PGSET_MASTER_PORT" \
    "$(quote_libpq "$PGSET_PRIMARY_USER")" "$(quote_libpq "$PGSET_RUN/passfile")" "$(quote_libpq "$1")" "$(tls_mode)"
  # libpq verifies the server with a CA in every mode if one is given, so give none in the mode prefer.
  [ "$(tls_mode)" = prefer ] || printf ' sslrootcert=%s' "$(quote_libpq "$PGSET_RUN/tls/ca.crt")"
  # The WAL receiver ignores connect_timeout. When the address of the master vanishes, tcp_user_timeout ends a
  # connection after 5 s in which sent data (or the request for the connection) got no answer, and keepalives one that
  # is silent.
  printf ' connect_timeout=5 tcp_user_timeout=5000 keepalives_idle=5 keepalives_interval=2 keepalives_count=3'
}
slot_name() { printf '%s' "${PGSET_POD//-/_}"; }

# Writes passwords and keys as files in memory, never on the volume. Each file is replaced atomically.
write_run() {
  local password
  password=$(<"$PGSET_AUTH/primary-password")
  password=${password//\\/\\\\}
  printf '*:*:*:%s:%s\n' "${PGSET_PRIMARY_USER//:/\\:}" "${password//:/\\:}" >"$PGSET_RUN/passfile.new"
  mv "$PGSET_RUN/passfile.new" "$PGSET_RUN/passfile"
  [ "$(tls_stage)" != required ] || await_certificates
  if wants_certificates && certificates_differ; then
    take_certificates || [ "$(tls_stage)" != required ] ||
      die $E_TLS "tls.key is not the key of tls.crt in Secret $(tls_secret): the server would not start with them"
  fi
  image_major >"$PGSET_RUN/major"
  bootstrap_conf >"$PGSET_RUN/bootstrap.conf"
  rm -f "$PGSET_RUN/tls.unread"
}
bootstrap_conf() {
  local major
  echo "# Written by bootstrap.sh: at each start of the pod, and when certificates change. TLS: $(tls_stage)."
  echo "port = $PGPORT"
  [ -z "$PGSET_LISTEN" ] || echo "listen_addresses = $(quote_setting "$PGSET_LISTEN")"
  echo "unix_socket_directories = $(quote_setting "$PGSET_SOCKETS")"
  echo "cluster_name = $(quote_setting "$PGSET_POD")"
  # The liveness probe writes this text, too, and should start no server to learn its version.
  major=$(<"$PGSET_RUN/major")
  # A query ends when its client has disconnected.
  [ "$major" -lt 14 ] || echo "client_connection_check_interval = '10s'"
  # Settings are pgset's: the next clone would bring what ALTER SYSTEM wrote to one server only.
  [ "$major" -lt 17 ] || echo "allow_alter_system = off"
  if [ "$(tls_stage)" != off ] && [ -e "$PGSET_RUN/tls/tls.crt" ]; then
    echo "ssl = on"
    echo "ssl_cert_file = $(quote_setting "$PGSET_RUN/tls/tls.crt")"
    echo "ssl_key_file = $(quote_setting "$PGSET_RUN/tls/tls.key")"
  fi
  if [ "$(role)" = replica ]; then
    echo "primary_conninfo = $(quote_setting "$(conninfo "$PGSET_POD" "$PGSET_MASTER_HOST")")"
    echo "primary_slot_name = $(quote_setting "$(slot_name)")"
  fi
}

# --- certificates -----------------------------------------------------------------------------------------

# The line `tls` of the ConfigMap: the stage of TLS, the origin of the certificate, and the Secret that holds
# it. Servers in neighbouring stages can connect to each other, so pods may differ by one stage and may start
# at any time.
#   off       (no such line)
#   offered   clients may use TLS; replicas use it, but verify nothing
#   required  replicas verify the server in full (verify-full); pg_hba.conf rejects connections without TLS
#   leaving   the same as offered, on the way to off
tls_line() { # field
  local stage=off whose='' secret=''
  [ ! -s "$PGSET_ETC/tls" ] || read -r stage whose secret <"$PGSET_ETC/tls" || true
  case $1 in
    stage) echo "$stage" ;;
    secret) echo "${secret:-${whose:-?}}" ;;
  esac
}
tls_stage() { tls_line stage; }
tls_secret() { tls_line secret; }
tls_mode() { if [ "$(tls_stage)" = required ]; then echo verify-full; else echo prefer; fi; }

# In the stage leaving, a certificate that can't be used must not block the way to off.
wants_certificates() { case $(tls_stage) in offered | required) ;; *) return 1 ;; esac; }
certificates_are_there() {
  [ -s "$PGSET_TLS/ca.crt" ] && [ -s "$PGSET_TLS/tls.crt" ] && [ -s "$PGSET_TLS/tls.key" ]
}
# Whether the mounted certificates differ from those that the server uses.
certificates_differ() {
  local file
  certificates_are_there || return 1
  for file in ca.crt tls.crt tls.key; do
    [ -e "$PGSET_RUN/tls/$file" ] && [ "$(<"$PGSET_TLS/$file")" = "$(<"$PGSET_RUN/tls/$file")" ] || return 0
  done
  return 1
}
await_certificates() {
  local started=$SECONDS said=-10
  until certificates_are_there; do
    [ $((SECONDS - started)) -lt "$PGSET_TLS_WAIT" ] ||
      die $E_TLS "TLS is required and Secret $(tls_secret) has no ca.crt, tls.crt and tls.key: add them, or run pgset up"
    if [ $((SECONDS - said)) -ge 10 ]; then
      log "waiting for ca.crt, tls.crt and tls.key of Secret $(tls_secret), $((SECONDS - started)) s"
      said=$SECONDS
    fi
    sleep 0.5
  done
}
# Copies all three files, because the server refuses a key that others can read. Replaces the old ones with
# one rename, so that a starting server always finds a certificate with its own key. Refuses files that do not
# match. Callers handle its failure, which disables `set -e`: so each command checks for errors itself.
take_certificates() {
  local new old='' file
  new=$(mktemp -d "$PGSET_RUN/tls.XXXXXX") || return 1
  for file in ca.crt tls.crt tls.key; do
    cat "$PGSET_TLS/$file" >"$new/$file" || return 1
  done
  if ! are_a_pair "$new/tls.crt" "$new/tls.key"; then
    rm -rf "$new"
    return 1
  fi
  : >"$PGSET_RUN/tls.unread" || return 1
  [ ! -e "$PGSET_RUN/tls" ] || old=$(readlink -f "$PGSET_RUN/tls")
  rm -f "$PGSET_RUN/tls.link"
  ln -s "${new##*/}" "$PGSET_RUN/tls.link" && mv -T "$PGSET_RUN/tls.link" "$PGSET_RUN/tls" || return 1
  [ -z "$old" ] || rm -rf "$old"
}
are_a_pair() { # certificate key
  local public
  public=$(openssl x509 -noout -pubkey -in "$1" 2>/dev/null) || return 1
  [ "$(openssl pkey -pubout -in "$2" -passin pass: 2>/dev/null </dev/null)" = "$public" ]
}

# Makes a running server use the mounted certificates. The file $mark records a change until the server has
# been told to reload, so that the next call continues after an interruption. Returns 1 if certificate and key
# do not match; the server keeps its current ones. Callers handle its failure, which disables `set -e`.
follow_tls() {
  local status=0 mark=$PGSET_RUN/tls.unread conf
  # The usual case: there is nothing to do.
  [ -e "$PGSET_ETC/tls" ] || [ -e "$PGSET_RUN/tls" ] || [ -e "$mark" ] || return 0
  exec 8>"$PGSET_RUN/tls.lock"
  flock 8 || return 1
  if wants_certificates && certificates_differ; then
    take_certificates || status=1
  fi
  conf=$(bootstrap_conf) || return 1
  if [ "$conf" != "$(<"$PGSET_RUN/bootstrap.conf")" ]; then
    printf '%s\n' "$conf" >"$PGSET_RUN/bootstrap.conf.new" && : >"$mark" || return 1
    mv "$PGSET_RUN/bootstrap.conf.new" "$PGSET_RUN/bootstrap.conf"
  fi
  if [ -e "$mark" ]; then
    kill -HUP "$(head -n 1 "$PGDATA/postmaster.pid")" && rm -f "$mark"
  fi
  [ "$(tls_stage)" != off ] || rm -rf "$(readlink -f "$PGSET_RUN/tls")" "$PGSET_RUN/tls"
  exec 8>&-
  return "$status"
}
# Called by `pgset up`: makes the server use the mounted certificates, waits until it has reloaded them, tests
# a TLS connection like a replica's, and prints the server's stage and certificates.
tls() {
  local before after tries=0
  need PGSET_PRIMARY_USER PGSET_MASTER_HOST
  before=$(local_sql 'select pg_conf_load_time()') || die $E_TLS "the server does not answer"
  cp "$PGSET_RUN/bootstrap.conf" "$scratch/before"
  { wants_certificates && certificates_differ || [ -e "$PGSET_RUN/tls.unread" ]; } && : >"$scratch/unread"
  follow_tls || die $E_TLS "tls.key is not the key of tls.crt in Secret $(tls_secret): the server keeps its current certificate"
  if [ -e "$scratch/unread" ] || ! cmp -s "$PGSET_RUN/bootstrap.conf" "$scratch/before"; then
    until after=$(local_sql 'select pg_conf_load_time()') && [ "$after" != "$before" ]; do
      tries=$((tries + 1))
      [ "$tries" -lt 100 ] || die $E_TLS "the server did not reload its configuration files"
      sleep 0.1
    done
  fi
  if wants_certificates && [ -e "$PGSET_RUN/tls" ]; then prove_tls; fi
  [ ! -e "$PGSET_ETC/tls" ] || cat "$PGSET_ETC/tls"
  [ ! -e "$PGSET_RUN/tls" ] || cat "$PGSET_RUN/tls/ca.crt" "$PGSET_RUN/tls/tls.crt"
}
# Connects to this pod's own address, but verifies the certificate for the master's name, which this pod may
# have.
prove_tls() {
  local tries=0
  until psql -XAtqw -d "$(conninfo "tls-$PGSET_POD" "$PGSET_MASTER_HOST") replication=true hostaddr=${PGSET_LISTEN:-127.0.0.1} port=$PGPORT sslmode=verify-full sslrootcert=$(quote_libpq "$PGSET_RUN/tls/ca.crt")" \
    -c IDENTIFY_SYSTEM >/dev/null 2>"$scratch/error"; do
    # A rejected password is fine: only TLS is tested here.
    ! grep -q 'password authentication failed' "$scratch/error" || return 0
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || die $E_TLS "a verified TLS connection to the server failed: $(reason "$scratch/error")"
    sleep 0.1
  done
}

# --- the master -------------------------------------------------------------------------------------------

master() {
  local identifier
  if ! is_empty "$PGDATA"; then
    check_existing
    # Only a promotion may make a standby writable. Without standby.signal, the server would continue to write
    # on a timeline that other servers may have extended. It starts, but becomes ready only after a promotion.
    [ ! -e "$PGDATA/standby.signal" ] ||
      log "$PGDATA contains a standby: the server starts as a standby and is not ready until it is promoted (select pg_promote())"
    identifier=$(control 'Database system identifier')
    log "$PGDATA is PostgreSQL $(image_major), system identifier $identifier"
    if [ -z "$recorded_identifier" ]; then
      ask_peers "$PGSET_PEER_WAIT"
      [ -z "$peer_identifier" ] || [ "$peer_identifier" = "$identifier" ] ||
        die $E_STRANGER "$PGDATA has the system identifier $identifier and $peer_with_data has $peer_identifier: one of them is another set's volume; mount the right one"
      record_identifier
    fi
    return
  fi
  [ -z "$recorded_identifier" ] ||
    die $E_LOST "the volume is empty, but this set was initialized (system identifier $recorded_identifier): the wrong volume is mounted, or the volume was lost; mount the right volume or restore it from a backup"
  [ ! -e "$PGDATA.old" ] ||
    die $E_LOST "the volume has no $PGDATA but $PGDATA.old, the old directory of a replica: rename it to $PGDATA, or move it away"
  ask_peers 0
  [ -z "$peer_identifier" ] ||
    die $E_LOST "the volume is empty, but $peer_with_data has data of this set (system identifier $peer_identifier): the wrong volume is mounted, or the volume was lost; mount the right volume or restore it from a backup"
  case $PGSET_ORIGIN in
    initdb) initialise ;;
    *) die $E_USAGE "the variable PGSET_ORIGIN is $PGSET_ORIGIN: this version supports initdb only" ;;
  esac
  record_identifier
}

# --- the peers --------------------------------------------------------------------------------------------

# Asks the other pods for their data, before this pod begins a new history or records its own: the first identifier that
# differs from this directory's, else the first one. A server that accepts no login has data: it is asked until it tells, but
# not longer than `limit` seconds. A pod that gives no answer may be starting: it is asked for some seconds, but not in a
# set that is being created.
peer_identifier='' peer_with_data=''
ask_peers() { # limit (0: none)
  local limit=$1 started=$SECONDS said=-10 patience=$PGSET_PEER_WAIT list number peer answer busy silent processes
  [ -z "$first_start" ] || patience=0
  while true; do
    peer_identifier='' peer_with_data='' busy='' silent='' number=0 processes=()
    read_neighbours
    rm -f "$scratch"/peer.*
    list=$(peers)
    for peer in $list; do
      number=$((number + 1))
      ask_peer "$peer" >"$scratch/peer.$number" 2>&1 &
      processes+=($!)
    done
    [ "$number" = 0 ] || wait "${processes[@]}" || true
    number=0
    for peer in $list; do
      number=$((number + 1))
      answer=$(<"$scratch/peer.$number")
      case $answer in
        [0-9]*'|'*) has_data "the pod at $peer" "${answer%%|*}" ;;
        *FATAL:* | *'certificate verify failed'*) busy="$peer: $(reason "$scratch/peer.$number")" ;;
        unknown) silent="the Service $PGSET_NAME: its name does not resolve" ;;
        *) silent="$peer: $(reason "$scratch/peer.$number")" ;;
      esac
    done
    [ -z "$peer_identifier" ] || return 0
    if [ "$limit" != 0 ] && [ $((SECONDS - started)) -ge "$limit" ]; then
      log "the other pods do not tell their system identifier (${busy:-$silent})"
      return 0
    fi
    if [ -z "$busy" ] && { [ -z "$silent" ] || [ $((SECONDS - started)) -ge "$patience" ]; }; then
      [ -z "$silent" ] || log "no data is found in other pods; no answer from $silent"
      return 0
    fi
    if [ $((SECONDS - said)) -ge 10 ]; then
      log "waiting for the answer of the other pods (${busy:-$silent}), $((SECONDS - started)) s"
      said=$SECONDS
    fi
    sleep 0.5
  done
}
has_data() { # who, identifier
  if [ -z "$peer_identifier" ] || [ "$peer_identifier" = "$(own_identifier)" ]; then
    peer_identifier=$2 peer_with_data=$1
  fi
}
own_identifier() { is_empty "$PGDATA" || control 'Database system identifier'; }
# On a shared volume the directories of the peers are beside this one. Another set's name may begin with this one's.
read_neighbours() {
  local directory ordinal
  for directory in "${PGDATA%/*}/$PGSET_NAME"-*; do
    ordinal=${directory#"${PGDATA%/*}/$PGSET_NAME-"}
    if [[ ! $ordinal =~ ^(0|[1-9][0-9]*)$ ]] || [ "$directory" = "$PGDATA" ] || [ ! -s "$directory/global/pg_control" ]; then continue; fi
    has_data "$directory" "$(pg_controldata -D "$directory" | sed -n 's/^Database system identifier: *//p')"
  done
}
# The other addresses of the Service that names all pods, ready or not; `unknown` if the name does not resolve.
peers() {
  local own=' ' address _ found=''
  [ -z "$PGSET_PEERS" ] || {
    echo "$PGSET_PEERS"
    return
  }
  while read -r address _; do own+="$address "; done < <(addresses "$PGSET_POD")
  while read -r address _; do
    found=1
    case $own in
      *" $address "*) continue ;;
    esac
    own+="$address "
    echo "$address:$PGPORT"
  done < <(addresses "$PGSET_NAME.$PGSET_NAMESPACE.svc")
  [ -n "$found" ] || echo unknown
}
addresses() { getent ahosts "$1" 2>/dev/null || true; } # name
# The certificate of a peer is valid for the master's Service, perhaps not for the pod.
ask_peer() { # address:port
  trap - ERR EXIT
  exec 9>&- # only the server and this script hold the lock
  if [ "$1" = unknown ]; then
    echo unknown
    return
  fi
  psql -XAtqw -d "$(conninfo "bootstrap-$PGSET_POD" "$PGSET_MASTER_HOST") replication=true hostaddr=${1%:*} port=${1##*:} connect_timeout=2" \
    -c IDENTIFY_SYSTEM || true
}

# Creates the directory under another name and renames it at the end: if this is killed at any time, the
# incomplete directory is ignored.
initialise() {
  log "initdb: PostgreSQL $(image_major), locale $PGSET_LOCALE"
  attended initdb -D "$PGDATA.new" --username=postgres --pwfile="$PGSET_AUTH/superuser-password" --encoding=UTF8 \
    --locale="$PGSET_LOCALE" --lc-messages=C --data-checksums --auth-local=peer --auth-host=scram-sha-256 --no-sync || {
    disk_is_full && die $E_FULL "initdb: the volume is full: make it larger"
    die $E_INITDB "initdb failed: $(reason "$scratch/output")"
  }
  make_roles
  sync_directory "$PGDATA.new"
  put_in_place
  result=initialized
  read_control
  log "$PGDATA is initialized, system identifier $(control 'Database system identifier')"
}

# Creates the replication role, the application's role and its database, with a server that only this script
# can reach. fsync is off, because the whole directory is synced afterwards.
make_roles() {
  local sockets=$scratch/sockets server status=0 failed
  mkdir "$sockets"
  echo 'local all all trust' >"$scratch/hba"
  postgres -D "$PGDATA.new" -k "$sockets" -c listen_addresses= -c "hba_file=$scratch/hba" -c fsync=off \
    -c password_encryption=scram-sha-256 -c log_statement=none -c log_min_error_statement=panic -c shared_buffers=16MB \
    >"$scratch/server" 2>&1 &
  server=$! child=$server
  until pg_isready -q -h "$sockets"; do
    kill -0 "$server" 2>/dev/null || die $E_ROLES "the server does not start on the new directory: $(reason "$scratch/server")"
    sleep 0.05
  done
  roles_sql | PGOPTIONS=$SQL_OPTIONS psql -XqAt -v ON_ERROR_STOP=1 -h "$sockets" -U postgres -d postgres -v "primary_user=$PGSET_PRIMARY_USER" \
    -v "user=$PGSET_USER" -v "database=$PGSET_DATABASE" >"$scratch/output" 2>&1 || status=$?
  failed=$(reason "$scratch/output")
  kill -INT "$server" 2>/dev/null || true
  wait "$server" || [ "$status" != 0 ] || die $E_ROLES "the server did not stop cleanly: $(reason "$scratch/server")"
  child=
  if [ "$status" != 0 ]; then
    disk_is_full && die $E_FULL "the volume is full: make it larger"
    die $E_ROLES "the roles and the database could not be created: $failed"
  fi
}
# psql reads the passwords from their files itself, so they appear in no command line and in no log.
roles_sql() {
  cat <<'SQL'
\set primary_password `cat "$PGSET_AUTH/primary-password"`
\set user_password `cat "$PGSET_AUTH/user-password"`
CREATE ROLE :"primary_user" LOGIN REPLICATION PASSWORD :'primary_password';
CREATE ROLE :"user" LOGIN PASSWORD :'user_password';
SELECT format('CREATE DATABASE %I', :'database') WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
ALTER DATABASE :"database" OWNER TO :"user";
SQL
}

# --- the replica ------------------------------------------------------------------------------------------

# Connection strings for the master. They are computed once per wait and not for each attempt, because all
# replicas connect at the same time, while the master is starting.
all_hosts='' first_host='' to_master=''
find_master() {
  local hosts
  hosts=$(master_hosts)
  all_hosts=$(conninfo "bootstrap-$PGSET_POD" "$hosts")
  first_host=$(conninfo "bootstrap-$PGSET_POD" "${hosts%%,*}")
}
replication() { # commands: prints their answers over a replication connection; errors: $scratch/error
  local command arguments=()
  for command; do arguments+=(-c "$command"); done
  psql -XAtqw -d "$to_master replication=true" "${arguments[@]}" 2>"$scratch/error"
}

# Waits until the master answers, and reads its identity. The first pause is 1 s: a master that does not
# answer at once needs at least that long, and the replicas leave it the CPU. Up to 30 s the pause is 0.2 s,
# because an attempt is cheap, and later 1 s. Returns 1 after `patience` seconds (0: no limit).
master_identifier='' master_timeline='' master_lsn=''
wait_for_master() { # patience
  local patience=$1 started=$SECONDS said=-10 asked=-1 refused='' answer why waited error='' cause='it gives no reason'
  find_master
  while true; do
    # If a Service has no endpoints, connections are rejected by ICMP, and a node sends a pod only one ICMP
    # error per second. A replica that asks more often would wait a second for it and could not try the other
    # host meanwhile.
    if [ "$SECONDS" = "$asked" ]; then to_master=$first_host; else to_master=$all_hosts asked=$SECONDS; fi
    if replication IDENTIFY_SYSTEM >"$scratch/identity"; then
      to_master=$all_hosts
      IFS='|' read -r master_identifier master_timeline master_lsn _ <"$scratch/identity"
      return 0
    fi
    waited=$((SECONDS - started))
    # Parse an error message only if it is new, and read it without starting a process.
    IFS= read -rd '' answer <"$scratch/error" || true
    [ "$answer" = "$error" ] || cause=$(reason "$scratch/error")
    error=$answer why=$cause
    case $why in
      *'could not translate host name'*) why='no address yet' refused='' ;;
      *'password authentication failed'* | *'no pg_hba.conf entry'* | *'pg_hba.conf rejects'* | *'does not exist' | *'not permitted to log in'*)
        why="it refuses the role $PGSET_PRIMARY_USER: $why"
        : "${refused:=$waited}"
        [ $((waited - refused)) -lt "$PGSET_PASSWORD_WAIT" ] ||
          die $E_PASSWORD "the master $PGSET_MASTER_HOST:$PGSET_MASTER_PORT: $why: the Secret and the database differ"
        ;;
      *) refused='' ;;
    esac
    if [ "$patience" != 0 ] && [ "$waited" -ge "$patience" ]; then
      return 1
    fi
    if [ $((SECONDS - said)) -ge 10 ]; then
      log "waiting for $PGSET_MASTER_HOST:$PGSET_MASTER_PORT ($why), $waited s"
      said=$SECONDS
      find_master # the stage of TLS may have changed
    fi
    if [ "$waited" -ge 1 ] && [ "$waited" -lt 30 ]; then sleep 0.2; else sleep 1; fi
  done
}

replica() {
  if is_empty "$PGDATA"; then
    clone
    return
  fi
  check_existing
  if [ -e "$PGDATA/standby.signal" ]; then
    # A standby without its master still serves reads and never accepts writes.
    wait_for_master "$PGSET_MASTER_WAIT" || {
      make_standby "$PGDATA"
      log "$PGSET_MASTER_HOST:$PGSET_MASTER_PORT did not answer for $PGSET_MASTER_WAIT s: starting as a standby without comparing it with the master"
      return 0
    }
  else
    # The server has accepted writes, so it must be proved that it has no WAL that the master lacks.
    log "$PGDATA has no standby.signal: it was a master"
    wait_for_master 0
  fi
  [ "$(control 'Database system identifier')" = "$master_identifier" ] ||
    die $E_STRANGER "$PGDATA has the system identifier $(control 'Database system identifier') and the master $PGSET_MASTER_HOST has $master_identifier: it is another set's volume; mount the right one"
  compare_history
  make_standby "$PGDATA"
  if wal_is_there; then
    log "$PGDATA continues as a standby of $PGSET_MASTER_HOST"
    return
  fi
  # Keep the old directory until the new one streams. If there are already two, keep the first: the second is
  # a clone that never streamed.
  if [ -e "$PGDATA.old" ]; then rm -rf "$PGDATA"; else mv -T "$PGDATA" "$PGDATA.old"; fi
  clone
}

# With standby.signal, a server leaves recovery only when it is promoted. Also removes the connection settings
# that a clone or ALTER SYSTEM left in the directory, because they would override those of this pod.
make_standby() { # directory
  : >>"$1/standby.signal"
  if grep -qs '^primary_\(conninfo\|slot_name\)' "$1/postgresql.auto.conf"; then
    sed '/^primary_\(conninfo\|slot_name\)/d' "$1/postgresql.auto.conf" >"$1/postgresql.auto.conf.tmp"
    mv "$1/postgresql.auto.conf.tmp" "$1/postgresql.auto.conf"
  fi
  sync_entry "$1/standby.signal"
}

# Checks that the directory has no WAL that the master never had. Streaming would corrupt such a directory. It
# may contain data that someone needs, so the script never deletes it.
timeline=
compare_history() {
  local own_lsn limit history other
  timeline=$(control "Latest checkpoint's TimeLineID")
  own_lsn=$(control 'Latest checkpoint location')
  other=$(control "Min recovery ending loc's timeline")
  [ "$other" -le "$timeline" ] || timeline=$other
  other=$(control 'Minimum recovery ending location')
  [ "$(lsn_value "$other")" -le "$(lsn_value "$own_lsn")" ] || own_lsn=$other
  [ "$timeline" -le "$master_timeline" ] ||
    diverged "it is on timeline $timeline and the master $PGSET_MASTER_HOST on $master_timeline"
  limit=$master_lsn
  if [ "$timeline" != "$master_timeline" ]; then
    history=$(replication "TIMELINE_HISTORY $master_timeline") || die $E_CLONE "TIMELINE_HISTORY $master_timeline: $(reason "$scratch/error")"
    # One line per ancestor of the master's timeline: its number, the LSN where it was left, the reason.
    limit=$(sed -n "s/^\(.*|\)\{0,1\}${timeline}[[:space:]]\{1,\}\([0-9A-F]*\/[0-9A-F]*\).*/\2/p" <<<"$history" | head -n 1)
    [ -n "$limit" ] || diverged "its timeline $timeline is not an ancestor of the master's timeline $master_timeline"
  elif [ ! -e "$PGDATA/standby.signal" ]; then
    diverged "it accepted writes on timeline $timeline, which is also the master's timeline"
  fi
  if [ "$(lsn_value "$own_lsn")" -gt "$(lsn_value "$limit")" ] || has_wal_after "$limit" "$timeline"; then
    diverged "it has WAL after $limit, where timeline $timeline ends on the master (timeline $master_timeline)"
  fi
}
has_wal_after() { # lsn timeline: whether there is a complete record at or after it
  first_record "$(lsn_value "$1")" "$2" >/dev/null
}
# pg_waldump waits 5 s for a missing file, so check first that it exists.
first_record() { # position timeline: prints the first record at or after it in this directory's WAL
  [ -e "$PGDATA/pg_wal/$(wal_file "$1" "$2")" ] &&
    pg_waldump -p "$PGDATA/pg_wal" -t "$2" -s "$(lsn_text "$1")" -n 1 2>/dev/null
}
wal_file() { # position timeline: the name of the segment that holds it
  local size segments
  size=$(control 'Bytes per WAL segment')
  segments=$((0x100000000 / size))
  printf '%08X%08X%08X' "$2" $(($1 / size / segments)) $(($1 / size % segments))
}
diverged() { # why
  die $E_DIVERGED "$PGDATA has diverged from the master: $1; nothing was changed: save the data that only $PGDATA contains, then move $PGDATA away (with storage class: delete the claim of pod $PGSET_POD) and delete the pod: it will be cloned"
}

# --- slot and WAL -----------------------------------------------------------------------------------------

# The slot keeps the WAL that this replica still needs. A slot that keeps none (created without RESERVE_WAL,
# or invalidated by max_slot_wal_keep_size) is replaced. Returns 1 if the caller has to try again.
ensure_slot() { # fresh: replace the slot in any case
  local slot answer commands
  slot=$(slot_name)
  commands=("CREATE_REPLICATION_SLOT \"$slot\" PHYSICAL RESERVE_WAL")
  if [ "${1:-}" = fresh ]; then
    # Both in one session: psql continues after an error and exits with the result of the last command.
    commands=("DROP_REPLICATION_SLOT \"$slot\"" "${commands[@]}")
  elif [ "$(image_major)" -ge 15 ] && answer=$(replication "READ_REPLICATION_SLOT \"$slot\"") && [ "${answer%%|*}" = physical ]; then
    answer=${answer#*|}
    [ -z "${answer%%|*}" ] || return 0
    ensure_slot fresh
    return
  fi
  if replication "${commands[@]}" >/dev/null; then
    log "created slot $slot on $PGSET_MASTER_HOST"
  elif [ "${1:-}" = fresh ]; then
    # If creating the slot failed, the message about dropping it is not the reason.
    sed -i "/slot \"$slot\" does not exist/d" "$scratch/error"
    return 1
  else
    grep -q 'already exists' "$scratch/error"
  fi
}

# Whether the standby can continue from the end of its WAL. Tests this by streaming exactly that segment
# through the slot. If that succeeds, the slot keeps the WAL from there on.
wal_is_there() {
  local said=-10 status size segment
  size=$(control 'Bytes per WAL segment')
  segment=$(last_segment "$size")
  while true; do
    status=0
    if ensure_slot; then try_segment "$segment" "$size" || status=$?; else status=2 && cp "$scratch/error" "$scratch/output"; fi
    case $status in
      0) return 0 ;;
      1)
        # A segment that ends with a WAL switch is complete, so try the next one.
        if ends_with_switch "$segment" "$size"; then
          segment=$((segment + 1))
          continue
        fi
        log "the master no longer has the WAL from $(lsn_text $((segment * size))) on: cloning again"
        return 1
        ;;
      3) ensure_slot fresh || true ;;
    esac
    if [ $((SECONDS - said)) -ge 10 ]; then
      log "waiting to stream from $PGSET_MASTER_HOST ($(reason "$scratch/output"))"
      said=$SECONDS
    fi
    sleep 0.5
    wait_for_master 0
  done
}

# The last segment that contains a record. Later files are recycled segments with old content.
last_segment() { # segment size
  local size=$1 segment last record lsn
  segment=$(($(lsn_value "$(control "Latest checkpoint's REDO location")") / size))
  last=$segment
  while record=$(first_record $((segment * size)) "$timeline"); do
    lsn=$(sed -n 's/.*, lsn: \([0-9A-F/]*\),.*/\1/p' <<<"$record" | tail -n 1)
    last=$(($(lsn_value "$lsn") / size))
    segment=$((last + 1))
  done
  echo "$last"
}
ends_with_switch() { # segment, segment size
  pg_waldump -p "$PGDATA/pg_wal" -t "$timeline" -s "$(lsn_text $(($1 * $2)))" -e "$(lsn_text $((($1 + 1) * $2)))" 2>/dev/null |
    tail -n 1 | grep -q 'desc: SWITCH'
}

# Returns 0: streams; 1: the WAL was removed; 2: try again; 3: the slot can't be used.
try_segment() { # segment, segment size
  local segment=$1 size=$2 directory status=0
  # The position is at the end of the master's WAL, so there is nothing to stream yet.
  [ $((segment * size)) -lt "$(lsn_value "$master_lsn")" ] || return 0
  directory=$(mktemp -d "$PGSET_TMP/pgset-wal.XXXXXX")
  # pg_receivewal continues with a partial file that exists. This one makes it start at the wanted segment.
  : >"$directory/$(wal_file $((segment * size)) "$timeline").partial"
  attended timeout 20 pg_receivewal -d "$to_master" -w -D "$directory" --slot="$(slot_name)" --no-loop --no-sync \
    --endpos="$(lsn_text $((segment * size + 1)))" || status=$?
  rm -rf "$directory"
  [ "$status" != 0 ] || return 0
  grep -q 'has already been removed' "$scratch/output" && return 1
  grep -q 'can no longer\|cannot read from replication slot\|invalidated' "$scratch/output" && return 3
  return 2
}

# --- the clone --------------------------------------------------------------------------------------------

# A clone is valid only after these steps, in this order: complete, verify, make a standby, sync, rename.
clone() {
  local tries=0 started said=-10
  while true; do
    wait_for_master 0
    [ -z "$recorded_identifier" ] || [ "$recorded_identifier" = "$master_identifier" ] ||
      die $E_STRANGER "the master $PGSET_MASTER_HOST has the system identifier $master_identifier and this set has $recorded_identifier: it is another set's master"
    check_room
    started=$SECONDS
    ! fetch_clone || break
    rm -rf "$PGDATA.new"
    if disk_is_full; then
      die $E_FULL "clone: the volume at ${PGDATA%/*} is full: make it larger$([ ! -e "$PGDATA.old" ] || echo "; $PGDATA.old is kept until the clone streams")"
    fi
    if [ $((SECONDS - said)) -ge 10 ]; then
      log "clone failed: $(reason "$scratch/output")"
      said=$SECONDS
    fi
    # Do not count failures while the master restarts, or while it still holds an old connection to the slot.
    if ! grep -q 'is active for PID' "$scratch/output" && replication IDENTIFY_SYSTEM >/dev/null; then
      tries=$((tries + 1))
    fi
    [ "$tries" -lt "$PGSET_CLONE_TRIES" ] || die $E_CLONE "clone from $PGSET_MASTER_HOST:$PGSET_MASTER_PORT failed $tries times: $(reason "$scratch/output")"
    sleep 1
  done
  make_standby "$PGDATA.new"
  sync_directory "$PGDATA.new"
  put_in_place
  result="cloned $(du -sk "$PGDATA" | cut -f1) kB"
  log "cloned in $((SECONDS - started)) s"
}
# On a volume that all pods share, a clone that fills it stops the master, too. The directory of the master shows
# whether the volume is shared, and how large the clone becomes.
check_room() {
  local source=${PGDATA%/*}/$master_pod data free need
  [ -s "$source/PG_VERSION" ] || return 0
  # Files may disappear while they are counted.
  data=$(du -sk "$source" 2>/dev/null | cut -f1) || true
  free=$(df -Pk "$source" | awk 'END { print $4 }')
  need=$((data + 64 * 1024)) # with the WAL that the master writes meanwhile
  [ "$free" -ge "$need" ] ||
    die $E_FULL "clone: the volume at ${PGDATA%/*}, which all pods share, has $((free / 1024)) MB free, and a copy of the master's $((data / 1024)) MB needs $((need / 1024)) MB: make it larger"
}
# Callers handle its failure, which disables `set -e`: so each command checks for errors itself.
fetch_clone() {
  local progress status=0
  ensure_slot fresh || {
    cp "$scratch/error" "$scratch/output"
    return 1
  }
  log "cloning from $PGSET_MASTER_HOST:$PGSET_MASTER_PORT (system identifier $master_identifier, timeline $master_timeline)"
  clone_progress &
  progress=$!
  attended pg_basebackup -d "$to_master" -w -D "$PGDATA.new" -X stream -c fast -S "$(slot_name)" \
    --manifest-checksums=SHA256 --no-sync || status=$?
  kill "$progress" 2>/dev/null || true
  [ "$status" = 0 ] || return 1
  attended pg_verifybackup --quiet "$PGDATA.new"
}
clone_progress() {
  local seconds=0
  exec 9>&- # this process may outlive a killed script and must not hold the lock
  while sleep 10 && kill -0 $$ 2>/dev/null; do
    seconds=$((seconds + 10))
    log "cloning: $(du -sm "$PGDATA.new" 2>/dev/null | cut -f1) MB, $seconds s"
  done
}

# --- the server -------------------------------------------------------------------------------------------

# Ends within 4.5 s, before a probe's time (5 s) is over, so that nothing of a probe outlives it.
local_sql() {
  PGCONNECT_TIMEOUT=3 PGOPTIONS="$SQL_OPTIONS -c statement_timeout=1500" \
    psql -XAtqw -h "$PGSET_SOCKETS" -U postgres -d postgres -c "$1"
}

# The bootstrap has run in the init container, perhaps long ago. A restarted container runs only this.
#
# Process 1 is this shell and not PostgreSQL. A program that a killed probe or a broken `kubectl exec` leaves behind
# becomes a child of process 1, and PostgreSQL takes an unknown child that fails for a crash: it would restart.
serve() {
  local file status=0
  for file in "$PGDATA/PG_VERSION" "$PGSET_RUN/bootstrap.conf"; do
    [ -s "$file" ] || die $E_UNPREPARED "$file is missing: the bootstrap has to run first; delete the pod"
  done
  [ "$(role)" = master ] || [ -e "$PGDATA/standby.signal" ] ||
    die $E_UNPREPARED "$PGDATA has no standby.signal: a replica is never started writable; delete the pod, so that it is compared with the master"
  lock
  forget_dead_servers
  if [ -e "$PGDATA.old" ] && [ "$(role)" = replica ]; then sweep_when_streaming & fi
  rm -rf "$scratch"
  scratch=
  postgres -D "$PGDATA" -c "config_file=$PGSET_ETC/postgresql.conf" -c "hba_file=$PGSET_ETC/pg_hba.conf" &
  child=$!
  # The kubelet sends the image's stop signal. A smart shutdown (SIGTERM) would wait for the clients.
  trap 'shut_down "$child"' TERM INT
  trap 'kill -QUIT "$child"' QUIT
  trap 'kill -HUP "$child"' HUP
  # A signal interrupts `wait`; the status of a child that has ended stays known.
  while
    status=0
    wait "$child" 2>/dev/null || status=$?
    kill -0 "$child" 2>/dev/null
  do :; done
  wait "$child" 2>/dev/null || status=$?
  child=
  exit "$status"
}
# A fast shutdown. A server that shuts down rejects connections. One that hangs gives no answer, and would hold the pod
# until the end of its grace period.
shut_down() { # process
  kill -INT "$1" 2>/dev/null || return 0
  kill_if_silent "$1" &
}
kill_if_silent() { # process
  local answered=$SECONDS status
  exec 9>&- # only the server may hold the lock
  trap - EXIT ERR TERM INT QUIT HUP
  while kill -0 "$1" 2>/dev/null; do
    status=0
    pg_isready -q -h "$PGSET_SOCKETS" || status=$?
    [ "$status" = 2 ] || answered=$SECONDS
    if [ $((SECONDS - answered)) -ge "$PGSET_SILENCE" ]; then
      log "the server has not answered for $((SECONDS - answered)) s and does not shut down: killing it"
      kill -KILL "$1"
      return
    fi
    sleep 1
  done
}
# PostgreSQL recognizes the lock file of an earlier server of its container by the process id. Here that id may belong to
# another process by now. A lock file counts if its process is a server that works in this data directory.
forget_dead_servers() {
  local file process
  for file in "$PGDATA/postmaster.pid" "$PGSET_SOCKETS/.s.PGSQL.$PGPORT.lock"; do
    [ -s "$file" ] || continue
    process=$(head -n 1 "$file")
    [ "/proc/${process#-}/cwd" -ef "$PGDATA" ] || rm -f "$file"
  done
}
sweep_when_streaming() {
  exec 9>&- # only the server may hold the lock
  until [ "$(local_sql "select status from pg_stat_wal_receiver" 2>/dev/null)" = streaming ]; do
    kill -0 $$ # the shell that waits for the server: stop when it ends
    sleep 1
  done
  rm -rf "$PGDATA.old"
  log "$PGDATA is streaming: $PGDATA.old is deleted"
}

ready() {
  local want=t answer master received replayed
  [ "$(role)" = replica ] || want=f
  answer=$(local_sql "select pg_is_in_recovery(), pg_wal_lsn_diff(latest_end_lsn, '0/0'), pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0'),
    pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') from (select) one left join pg_stat_wal_receiver on status = 'streaming'" 2>&1) || {
    log "not ready: $answer"
    return 1
  }
  # The last line, because the server may print warnings.
  IFS='|' read -r answer master received replayed <<<"${answer##*$'\n'}"
  [ "$answer" = "$want" ] || {
    log "not ready: the server is $([ "$answer" = t ] && echo "a standby" || echo "writable") and pod $PGSET_POD is the $(role)"
    return 1
  }
  # What the master has written is known only while it is streamed. Otherwise a replica stays ready: without its
  # master every replica would stop serving reads.
  [ "$want" = f ] || [ -z "$master" ] || [ -z "$received" ] || [ -z "$replayed" ] || keeps_up
}
# Whether a streaming replica has replayed nearly all. Time is measured by the WAL that was received, not by the
# master's commits: in one long transaction, such as the load of a large table, the last commit may be old although
# the replica replays everything at once.
keeps_up() {
  local limit delay=$PGSET_MAX_DELAY now at position marks='' last='' late=''
  [ -e "$PGSET_ETC/max-lag" ] || return 0
  read -r limit <"$PGSET_ETC/max-lag" || true
  [[ $limit =~ ^[0-9]{1,18}$ ]] || {
    log "not ready: $PGSET_ETC/max-lag does not contain a number of bytes"
    return 1
  }
  read -r now _ </proc/uptime
  now=${now%.*}
  # Each mark says when the WAL up to a position had been received. A mark that is replayed, or is of another
  # history, goes; of those that are too old the newest is enough.
  while read -r at position; do
    if [ "$position" -le "$replayed" ] || [ "$position" -gt "$received" ]; then continue; fi
    if [ $((now - at)) -ge "$delay" ]; then late=1 marks=''; fi
    marks+="$at $position"$'\n'
    last=$at
  done < <(cat "$PGSET_RUN/received" 2>/dev/null)
  if [ "$received" -gt "$replayed" ] && [ $((now - ${last:-0})) -ge $((delay / 30)) ]; then marks+="$now $received"$'\n'; fi
  printf %s "$marks" >"$PGSET_RUN/received.new" && mv "$PGSET_RUN/received.new" "$PGSET_RUN/received"
  if [ $((master - replayed)) -gt "$limit" ]; then
    log "not ready: $((master - replayed)) bytes of WAL are not replayed yet, the limit is $limit (--max-lag)"
    return 1
  elif [ -n "$late" ]; then
    log "not ready: WAL that was received more than $delay s ago is not replayed yet"
    return 1
  fi
}
# pg_isready returns 0 if the server accepts connections, 1 if it starts, stops or recovers. Both are alive.
alive() {
  local status=0
  pg_isready -q -h "$PGSET_SOCKETS" || status=$?
  [ "$status" -le 1 ] || return 1
  # The liveness probe also makes the server use renewed certificates.
  (follow_tls) >/dev/null 2>&1 || true
}
# The checkpoint makes the shutdown short. Then the kubelet sends a signal to process 1, see `serve`.
checkpoint() {
  PGCONNECT_TIMEOUT=3 PGOPTIONS=$SQL_OPTIONS timeout 300 psql -XAtqw -h "$PGSET_SOCKETS" -U postgres -d postgres -c CHECKPOINT ||
    log "the checkpoint before the shutdown failed"
}

bootstrap() {
  need PGSET_NAME PGSET_NAMESPACE PGSET_PRIMARY_USER PGSET_USER PGSET_DATABASE PGSET_MASTER_HOST PGSET_REPLICA_HOST
  read_topology
  log "pod $PGSET_POD is the $(role)"
  check_volume
  label
  lock
  clear_half
  write_run
  "$(role)"
  # The pod's status shows this to pgset. Written only at the end: until then the message is the log's, which
  # names the error.
  if [ -n "$result" ] && [ -w "$PGSET_TERMINATION_LOG" ]; then echo "$result" >"$PGSET_TERMINATION_LOG"; fi
}

main() {
  need PGSET_NAME PGSET_POD PGDATA
  case ${1:-bootstrap} in
    ready | alive | checkpoint) "$1" || exit 1 ;;
    bootstrap | serve | tls)
      scratch=$(mktemp -d "$PGSET_RUN/bootstrap.XXXXXX")
      "${1:-bootstrap}"
      ;;
    *) die $E_USAGE "no such subcommand: $1 (serve, ready, alive, checkpoint, tls, or none)" ;;
  esac
}
main "$@"
