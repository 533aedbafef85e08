#!/usr/bin/env bash
# One pod of a PostgreSQL replica set: makes its data directory, and starts the server on it.
#
#   bootstrap.sh              init container: label the pod; make, check or clone the data directory
#   bootstrap.sh serve        main container: take the lock on the volume and become the server
#   bootstrap.sh ready        readiness probe: the server does what the pod's role says
#   bootstrap.sh alive        liveness probe: the server answers
#   bootstrap.sh checkpoint   preStop hook: a checkpoint, then a fast shutdown
#   bootstrap.sh tls          brings the running server what is mounted now of certificates, and says what it has
#
# Every way to fail has an exit code of its own and one last line, `bootstrap: error: ...`:
readonly E_USAGE=2         # an unknown subcommand, or a variable is missing
readonly E_OPENSSL=10      # the image has no openssl: the pod can't label itself
readonly E_LABEL=11        # the API server did not accept the label
readonly E_VOLUME=12       # the volume is not writable for this uid
readonly E_LOCKED=13       # another server holds the data directory
readonly E_LOST=14         # the master's volume is empty, although the set was initialised
readonly E_STRANGER=15     # the data directory belongs to another set (system identifier)
readonly E_VERSION=16      # the data directory is of another major version
readonly E_DIRECTORY=17    # the data directory is not one of PostgreSQL's
readonly E_INITDB=18       # initdb failed
readonly E_ROLES=19        # the roles and the database could not be made
readonly E_PASSWORD=20     # the master refuses the replication role
readonly E_CLONE=21        # the clone failed again and again
readonly E_FULL=22         # the volume is full
readonly E_DIVERGED=23     # this replica has what the master never had
readonly E_UNPREPARED=24   # `serve` without a bootstrap before it
readonly E_TLS=25          # TLS is required and there is no certificate, or not with its key

set -Eeuo pipefail
umask 077
export LC_ALL=C

# Every path can be changed, so that the script runs without a container.
: "${PGSET_ETC:=/etc/pgset}"                # postgresql.conf, pg_hba.conf; tls, where that is not off
: "${PGSET_RUN:=/run/pgset}"                # memory, shared by both containers: passfile, certificates, bootstrap.conf
: "${PGSET_AUTH:=/etc/pgset-auth}"          # a file for each password
: "${PGSET_TLS:=/etc/pgset-tls}"            # ca.crt, tls.crt, tls.key; may be missing
: "${PGSET_TOPOLOGY:=/etc/pgset-topology}"  # system-identifier, master; each may be missing
: "${PGSET_TOKEN:=/var/run/secrets/kubernetes.io/serviceaccount}"
: "${PGSET_SOCKETS:=/var/run/postgresql}"
: "${PGSET_TMP:=/tmp}"
: "${PGPORT:=5432}"
: "${PGSET_MASTER_PORT:=$PGPORT}"
: "${PGSET_MASTER_ADDRESSES:=}"             # where replicas ask for the master, instead of its names
: "${PGSET_POD_LABEL:=}"                    # the pod's label `name`
: "${PGSET_LISTEN:=}"                       # the addresses to listen on; postgresql.conf says all
: "${PGSET_LOCALE:=C.UTF-8}"
: "${PGSET_ORIGIN:=initdb}"                 # where the first data of the master comes from: initdb
: "${PGSET_LOCK_WAIT:=120}"                 # seconds to wait for another owner of the directory
: "${PGSET_LABEL_WAIT:=30}"                 # seconds to try to set the label
: "${PGSET_TLS_WAIT:=60}"                   # seconds to wait for a certificate that somebody else makes
: "${PGSET_PASSWORD_WAIT:=60}"              # seconds for which the master may refuse the password: it may be rotating
: "${PGSET_MASTER_WAIT:=300}"               # seconds after which a good standby starts without its master
: "${PGSET_CLONE_TRIES:=5}"                 # failures of a clone that are not the master going away
export PGSET_AUTH
# Debian's psql in /usr/bin is a wrapper that takes many times as long as psql itself.
server=$(command -v postgres) || server=
[ -z "$server" ] || [[ $PATH == "${server%/*}":* ]] || PATH=${server%/*}:$PATH

log() { printf 'bootstrap: %s\n' "$*" >&2; }
die() { # code message
  local code=$1
  shift
  log "error: $*"
  exit "$code"
}

scratch=
child=
clean_up() {
  # A server ends at once by QUIT, which the other programs may ignore.
  [ -z "$child" ] || { kill -QUIT "$child" && kill -TERM "$child"; } 2>/dev/null || true
  [ -z "$scratch" ] || rm -rf "$scratch"
}
stopped() {
  log "stopped by a signal"
  exit 143
}
# Process 1 has no default action for a signal: without the trap a pod that is deleted while it waits would
# be waited for until the grace period ends.
trap stopped TERM INT
trap clean_up EXIT
trap 'log "error: line $LINENO of ${FUNCNAME[0]:-bootstrap.sh} failed"' ERR

# A command that may take long runs in the background, for a shell answers a signal between commands only.
# What it says goes to $scratch/output.
attended() {
  local status=0
  "$@" >"$scratch/output" 2>&1 &
  child=$!
  wait "$child" || status=$?
  child=
  return "$status"
}
# What a program says first about an error is the reason; what follows are hints and consequences.
reason() { # file
  {
    grep -m 1 'error:\|ERROR:\|FATAL:\|PANIC:' "$1" || grep '[^[:space:]]' "$1" | tail -n 1 || echo 'it says nothing'
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

# Who is the master is an input: the file `master` of the topology names the pod, or says none. A set whose topology
# does not say it has never had another master than its pod 0.
master_pod=${PGSET_NAME-}-0
[ ! -s "$PGSET_TOPOLOGY/master" ] || master_pod=$(tr -d '[:space:]' <"$PGSET_TOPOLOGY/master")
role() { if [ "$PGSET_POD" = "$master_pod" ]; then echo master; else echo replica; fi; }

# Where a replica asks for the master before its server runs, in libpq's notation. In a set that is new it asks the
# pod first, which has a name from its first moment on; the Service leads there seconds later (probes, endpoints,
# kube-proxy). Afterwards the name may lead to an address that the pod has no more, and a WAL receiver waits for such
# a one for minutes: it knows the Service only.
master_hosts() {
  local pod=$master_pod.$PGSET_NAME.$PGSET_NAMESPACE.svc service=${PGSET_MASTER_HOST:?}
  if [ -n "$PGSET_MASTER_ADDRESSES" ]; then
    echo "$PGSET_MASTER_ADDRESSES"
  elif [ -z "$(recorded_identifier)" ] && may_ask "$pod"; then
    echo "$pod,$service"
  else
    echo "$service"
  fi
}
# All servers show the same certificate, and libpq asks nobody else after one whose certificate is no good.
may_ask() { # host
  [ "$(tls_mode)" = prefer ] || openssl x509 -noout -checkhost "$1" -in "$PGSET_RUN/tls/tls.crt" | grep -q 'does match'
}

# --- the label --------------------------------------------------------------------------------------------

# The master's Service selects by this label. It is set before the server starts, and the template's label
# says replica: at no moment does the replica Service select a server that can be written to.
label() {
  local want=${PGSET_REPLICA_HOST:?} delay=1 started=$SECONDS answer
  [ "$(role)" = replica ] || want=${PGSET_MASTER_HOST:?}
  # As it was when the container started. Nobody else changes it.
  if [ "$PGSET_POD_LABEL" = "$want" ]; then
    log "pod $PGSET_POD has the label name=$want"
    return
  fi
  if [ -z "${KUBERNETES_SERVICE_HOST:-}" ]; then
    log "no API server in the environment: the pod is not labelled"
    return
  fi
  command -v openssl >/dev/null ||
    die $E_OPENSSL "the image has no openssl, which sets the label name=$want of pod $PGSET_POD: use an image with it (the Debian-based official one)"
  while true; do
    answer=$(patch_label "$want")
    case $answer in
      "HTTP/1.1 2"*) break ;;
    esac
    [ $((SECONDS - started)) -lt "$PGSET_LABEL_WAIT" ] ||
      die $E_LABEL "label name=$want of pod $PGSET_POD: the API server at $KUBERNETES_SERVICE_HOST:${KUBERNETES_SERVICE_PORT:-443} answered: $answer"
    log "label name=$want: $answer; again in ${delay}s"
    sleep "$delay"
    delay=$((delay < 5 ? delay * 2 : 5))
  done
  log "pod $PGSET_POD is labelled name=$want"
}

# One PATCH of the pod's status, which can change labels and can't change an image; prints the status line
# and the server's message. The token goes through a pipe, and only to a server whose certificate names the
# address and comes from the cluster's CA.
patch_label() { # value
  local host=$KUBERNETES_SERVICE_HOST port=${KUBERNETES_SERVICE_PORT:-443} token verify=-verify_ip status message
  local body="{\"metadata\":{\"labels\":{\"name\":\"$1\"}}}"
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
  {
    printf 'PATCH /api/v1/namespaces/%s/pods/%s/status?fieldManager=pgset-bootstrap HTTP/1.1\r\n' "$PGSET_NAMESPACE" "$PGSET_POD"
    printf 'Host: %s:%s\r\nAuthorization: Bearer %s\r\n' "$address" "$port" "$token"
    printf 'Content-Type: application/merge-patch+json\r\nAccept: application/json\r\n'
    printf 'User-Agent: pgset-bootstrap\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' "${#body}" "$body"
  } | timeout 10 openssl s_client -quiet -connect "$address:$port" -CAfile "$PGSET_TOKEN/ca.crt" \
    -verify_return_error "$verify" "$host" >"$scratch/answer" 2>"$scratch/error" || true
  status=$(sed -n '1{s/\r$//;p;}' "$scratch/answer")
  case $status in
    HTTP/*)
      message=$(grep -o '"message":"\([^"\\]\|\\.\)*"' "$scratch/answer" | head -n 1 | cut -d: -f2-) || message=
      printf '%s%s\n' "$status" "${message:+: $message}"
      ;;
    *) tls_trouble ;;
  esac
}
tls_trouble() { # the reason of s_client's that says most
  local why
  why=$(grep -o -m 1 'verify error:.*' "$scratch/error") ||
    why=$(grep -m 1 -i 'errno=\|refused\|getaddrinfo\|alert' "$scratch/error") || why=$(reason "$scratch/error")
  printf 'nothing (%s)\n' "$why"
}

# --- the volume and its lock ------------------------------------------------------------------------------

check_volume() {
  local volume=${PGDATA%/*} uid gid
  uid=$(id -u) gid=$(id -g)
  [ -d "$volume" ] || die $E_VOLUME "there is no directory $volume: mount the volume there"
  if ! { : >>"$PGDATA.lock"; } 2>"$scratch/error"; then
    grep -q 'No space left' "$scratch/error" && die $E_FULL "the volume at $volume is full: make it larger"
    grep -q 'Read-only' "$scratch/error" && die $E_VOLUME "the volume at $volume is mounted read-only: mount it read-write"
    die $E_VOLUME "the volume at $volume is not writable for uid $uid, gid $gid (it is $(stat -c '%u:%g, mode %a' "$volume")): on the storage run \`chown $uid:$gid DIRECTORY && chmod 770 DIRECTORY\` (NFS: on the server), or give the pod fsGroup $gid"
  fi
}

# Whoever works on the directory holds this lock until its last process is gone: children and the server
# inherit the descriptor. It is what keeps two pods apart that share a volume.
lock() {
  local started=$SECONDS said=-10 status
  exec 9>>"$PGDATA.lock"
  while true; do
    status=0
    flock -n 9 2>"$scratch/error" || status=$?
    [ "$status" != 0 ] || return 0
    [ "$status" = 1 ] || die $E_VOLUME "the volume has no file locks: $(reason "$scratch/error")"
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
sync_entry() { sync "${1%/*}" 2>/dev/null || sync; } # makes a rename in that directory last
put_in_place() {                                     # $PGDATA.new becomes $PGDATA, whole or not at all
  mv -T "$PGDATA.new" "$PGDATA"
  sync_entry "$PGDATA"
}
# What was not renamed does not count: whoever made it was killed.
clear_half() {
  [ ! -e "$PGDATA.new" ] || log "clearing $PGDATA.new, which was never finished"
  rm -rf "$PGDATA.new"
}
# One fsync of everything at the end is quicker than many on the way.
sync_directory() { # directory
  attended initdb --sync-only -D "$1" || {
    disk_is_full && die $E_FULL "the volume is full: make it larger"
    die $E_VOLUME "$1 can't be written to the disk: $(reason "$scratch/output")"
  }
}

# --- facts of a data directory ----------------------------------------------------------------------------

control() { # field: its value in $scratch/control
  sed -n "s/^$1: *//p" "$scratch/control"
}
read_control() {
  pg_controldata -D "$PGDATA" >"$scratch/control" 2>"$scratch/error" ||
    die $E_DIRECTORY "$PGDATA/global/pg_control can't be read: $(reason "$scratch/error")"
}
image_major() { postgres --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/'; }
recorded_identifier() {
  [ ! -s "$PGSET_TOPOLOGY/system-identifier" ] || tr -d '[:space:]' <"$PGSET_TOPOLOGY/system-identifier"
}

# The directory must be the image's and the set's: a server of another version would not start, one of
# another set would give clients other data.
check_existing() {
  local major recorded identifier
  [ -s "$PGDATA/PG_VERSION" ] ||
    die $E_DIRECTORY "$PGDATA holds files but no PG_VERSION: it is no data directory; move it away"
  major=$(<"$PGDATA/PG_VERSION")
  [ "$major" = "$(image_major)" ] ||
    die $E_VERSION "$PGDATA is of PostgreSQL $major and the image is PostgreSQL $(image_major): use an image of $major, or dump with $major and restore into a new set"
  read_control
  recorded=$(recorded_identifier)
  identifier=$(control 'Database system identifier')
  [ -z "$recorded" ] || [ "$recorded" = "$identifier" ] ||
    die $E_STRANGER "$PGDATA has the system identifier $identifier and this set is $recorded: it is another set's volume; mount the right one"
}

lsn_value() { # 16/B374D848 -> a number
  local high=${1%/*} low=${1#*/}
  echo $(((16#$high << 32) + 16#$low))
}
lsn_text() { printf '%X/%X\n' $(($1 >> 32)) $(($1 & 0xFFFFFFFF)); }

# --- what the server includes -----------------------------------------------------------------------------

# libpq: 'it\'s'; postgresql.conf: 'it''s'. A backslash is special in both.
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
  # A CA that is named is asked in every mode.
  [ "$(tls_mode)" = prefer ] || printf ' sslrootcert=%s' "$(quote_libpq "$PGSET_RUN/tls/ca.crt")"
  printf ' connect_timeout=5'
}
slot_name() { printf '%s' "${PGSET_POD//-/_}"; }

# Passwords and keys reach the server as files in memory, never on the volume; a file appears whole.
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
  bootstrap_conf >"$PGSET_RUN/bootstrap.conf"
  rm -f "$PGSET_RUN/tls.unread"
}
bootstrap_conf() {
  echo "# Written by bootstrap.sh: at each start of the pod, and when certificates change. TLS: $(tls_stage)."
  echo "port = $PGPORT"
  [ -z "$PGSET_LISTEN" ] || echo "listen_addresses = $(quote_setting "$PGSET_LISTEN")"
  echo "unix_socket_directories = $(quote_setting "$PGSET_SOCKETS")"
  echo "cluster_name = $(quote_setting "$PGSET_POD")"
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

# How far TLS is, whose the certificate is and which Secret holds it: a line of the ConfigMap. Each stage
# goes with its neighbours, so that pods may be a stage apart, and start at any moment.
#   off       (no such line)
#   offered   the server speaks TLS with whoever wants to; replicas do, and verify nothing
#   required  replicas verify in full, and pg_hba.conf lets nobody in without TLS
#   leaving   as offered, on the way to off
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

# Whoever is leaving is not held up by a certificate that is no good.
wants_certificates() { case $(tls_stage) in offered | required) ;; *) return 1 ;; esac; }
certificates_are_there() {
  [ -s "$PGSET_TLS/ca.crt" ] && [ -s "$PGSET_TLS/tls.crt" ] && [ -s "$PGSET_TLS/tls.key" ]
}
# Whether there are others than the server has.
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
      die $E_TLS "TLS is required and Secret $(tls_secret) has no ca.crt, tls.crt and tls.key: put them there, or run pgset up"
    if [ $((SECONDS - said)) -ge 10 ]; then
      log "waiting for ca.crt, tls.crt and tls.key of Secret $(tls_secret), $((SECONDS - started)) s"
      said=$SECONDS
    fi
    sleep 0.5
  done
}
# Copies all three, for the server reads no key that others could read, and puts them in their place at
# once: at no moment does a server that starts find a key beside another one's certificate. What does not
# fit together is not taken. Called where a failure is expected, so it stops at the first one by itself.
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

# Brings a running server what is mounted by now. Whoever is interrupted after something has changed leaves
# a mark, so that the next one has the server read it. Returns 1 when the certificates do not fit together;
# the server keeps those that it has. Called where a failure is expected.
follow_tls() {
  local status=0 mark=$PGSET_RUN/tls.unread conf
  # Most sets, most of the time.
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
# What `pgset up` asks for: brings it, waits until the server has read it, proves it by a connection of the
# kind that replicas make, and says what the server has.
tls() {
  local before after tries=0
  need PGSET_PRIMARY_USER PGSET_MASTER_HOST
  before=$(local_sql 'select pg_conf_load_time()') || die $E_TLS "the server does not answer"
  cp "$PGSET_RUN/bootstrap.conf" "$scratch/before"
  { wants_certificates && certificates_differ || [ -e "$PGSET_RUN/tls.unread" ]; } && : >"$scratch/unread"
  follow_tls || die $E_TLS "tls.key is not the key of tls.crt in Secret $(tls_secret): the server goes on with those that it has"
  if [ -e "$scratch/unread" ] || ! cmp -s "$PGSET_RUN/bootstrap.conf" "$scratch/before"; then
    until after=$(local_sql 'select pg_conf_load_time()') && [ "$after" != "$before" ]; do
      tries=$((tries + 1))
      [ "$tries" -lt 100 ] || die $E_TLS "the server does not read its files again"
      sleep 0.1
    done
  fi
  if wants_certificates && [ -e "$PGSET_RUN/tls" ]; then prove_tls; fi
  [ ! -e "$PGSET_ETC/tls" ] || cat "$PGSET_ETC/tls"
  [ ! -e "$PGSET_RUN/tls" ] || cat "$PGSET_RUN/tls/ca.crt" "$PGSET_RUN/tls/tls.crt"
}
# The server is asked by the master's name, as it may be the master, at this pod's own address.
prove_tls() {
  local tries=0
  until psql -XAtqw -d "$(conninfo "tls-$PGSET_POD" "$PGSET_MASTER_HOST") replication=true hostaddr=${PGSET_LISTEN:-127.0.0.1} port=$PGPORT sslmode=verify-full sslrootcert=$(quote_libpq "$PGSET_RUN/tls/ca.crt")" \
    -c IDENTIFY_SYSTEM >/dev/null 2>"$scratch/error"; do
    # Who is let in is not the question.
    ! grep -q 'password authentication failed' "$scratch/error" || return 0
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || die $E_TLS "the server can't be reached by TLS and verified: $(reason "$scratch/error")"
    sleep 0.1
  done
}

# --- the master -------------------------------------------------------------------------------------------

master() {
  if ! is_empty "$PGDATA"; then
    check_existing
    # Only a promotion may make a standby writable: without the file the server would go on writing on a
    # timeline that others may have gone on with. It starts, but is not ready before somebody promotes it.
    [ ! -e "$PGDATA/standby.signal" ] ||
      log "$PGDATA is a standby's: it starts as a standby and is not ready until it is promoted (select pg_promote())"
    log "$PGDATA is PostgreSQL $(image_major), system identifier $(control 'Database system identifier')"
    return
  fi
  local recorded
  recorded=$(recorded_identifier)
  [ -z "$recorded" ] ||
    die $E_LOST "the volume is empty but this set was initialised (system identifier $recorded): a volume was lost or another one is mounted; mount the old one, restore it from a backup, or delete the set with its data"
  [ ! -e "$PGDATA.old" ] ||
    die $E_LOST "the volume has no $PGDATA but $PGDATA.old, which a replica left: move it back, or away"
  case $PGSET_ORIGIN in
    initdb) initialise ;;
    *) die $E_USAGE "the variable PGSET_ORIGIN is $PGSET_ORIGIN: this version can begin with initdb only" ;;
  esac
}

# Built beside its place and renamed at the end: a kill at any moment leaves nothing that counts.
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
  read_control
  log "$PGDATA is initialised, system identifier $(control 'Database system identifier')"
}

# A server that only this script can reach makes the replication role, the application's role and its
# database. It need not sync: the whole directory is synced afterwards.
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
  roles_sql | psql -XqAt -v ON_ERROR_STOP=1 -h "$sockets" -U postgres -d postgres -v "primary_user=$PGSET_PRIMARY_USER" \
    -v "user=$PGSET_USER" -v "database=$PGSET_DATABASE" >"$scratch/output" 2>&1 || status=$?
  failed=$(reason "$scratch/output")
  kill -INT "$server" 2>/dev/null || true
  wait "$server" || [ "$status" != 0 ] || die $E_ROLES "the server did not stop cleanly: $(reason "$scratch/server")"
  child=
  if [ "$status" != 0 ]; then
    disk_is_full && die $E_FULL "the volume is full: make it larger"
    die $E_ROLES "roles and database: $failed"
  fi
}
# psql reads the passwords from their files itself: they are on no command line and in no log.
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

# How the master is reached. It is found out when the master is waited for, not for each question: all replicas
# ask at once, beside the master that starts.
all_hosts='' first_host='' to_master=''
find_master() {
  local hosts
  hosts=$(master_hosts)
  all_hosts=$(conninfo "bootstrap-$PGSET_POD" "$hosts")
  first_host=$(conninfo "bootstrap-$PGSET_POD" "${hosts%%,*}")
}
replication() { # commands: their answers, over a replication connection; what went wrong in $scratch/error
  local command arguments=()
  for command; do arguments+=(-c "$command"); done
  psql -XAtqw -d "$to_master replication=true" "${arguments[@]}" 2>"$scratch/error"
}

# Asks the master who it is, until it answers. One that does not answer at first needs a second at least, in which
# the replicas leave it the processors; then it is asked often, for it is quick; then once a second.
# Returns 1 when the patience (seconds, 0: no end) is over.
master_identifier='' master_timeline='' master_lsn=''
wait_for_master() { # patience
  local patience=$1 started=$SECONDS said=-10 asked=-1 refused='' answer why waited error='' cause='it says nothing'
  find_master
  while true; do
    # A Service that leads nowhere refuses by ICMP, of which a node sends one a second to each pod: whoever asks
    # it more often waits a second for the answer, and asks nobody else meanwhile.
    if [ "$SECONDS" = "$asked" ]; then to_master=$first_host; else to_master=$all_hosts asked=$SECONDS; fi
    if replication IDENTIFY_SYSTEM >"$scratch/identity"; then
      to_master=$all_hosts
      IFS='|' read -r master_identifier master_timeline master_lsn _ <"$scratch/identity"
      return 0
    fi
    waited=$((SECONDS - started))
    # The same answer is taken apart only once, and read without a process.
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
      find_master # TLS may have come or gone
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
    # A standby without its master still serves reads, and never writes.
    wait_for_master "$PGSET_MASTER_WAIT" || {
      make_standby "$PGDATA"
      log "$PGSET_MASTER_HOST:$PGSET_MASTER_PORT did not answer for $PGSET_MASTER_WAIT s: starting as a standby that was not compared with it"
      return 0
    }
  else
    # It was written to by itself: it needs the proof that it has nothing of its own.
    log "$PGDATA has no standby.signal: it was a master"
    wait_for_master 0
  fi
  [ "$(control 'Database system identifier')" = "$master_identifier" ] ||
    die $E_STRANGER "$PGDATA has the system identifier $(control 'Database system identifier') and the master $PGSET_MASTER_HOST has $master_identifier: it is another set's volume; mount the right one"
  compare_history
  make_standby "$PGDATA"
  if wal_is_there; then
    log "$PGDATA goes on as a standby of $PGSET_MASTER_HOST"
    return
  fi
  # The old directory stays until the new one streams. Of two old ones the first is kept: the second is a
  # clone that never streamed.
  if [ -e "$PGDATA.old" ]; then rm -rf "$PGDATA"; else mv -T "$PGDATA" "$PGDATA.old"; fi
  clone
}

# With standby.signal a server never leaves recovery by itself. What a clone or an ALTER SYSTEM left about
# the master in the directory would win over what this pod needs.
make_standby() { # directory
  : >>"$1/standby.signal"
  if grep -qs '^primary_\(conninfo\|slot_name\)' "$1/postgresql.auto.conf"; then
    sed '/^primary_\(conninfo\|slot_name\)/d' "$1/postgresql.auto.conf" >"$1/postgresql.auto.conf.tmp"
    mv "$1/postgresql.auto.conf.tmp" "$1/postgresql.auto.conf"
  fi
  sync_entry "$1/standby.signal"
}

# A directory that has what the master never had is somebody's data, and streaming would corrupt it: no
# script discards it.
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
    # A line for each timeline that the master's came from: its number, where it was left, why.
    limit=$(sed -n "s/^\(.*|\)\{0,1\}${timeline}[[:space:]]\{1,\}\([0-9A-F]*\/[0-9A-F]*\).*/\2/p" <<<"$history" | head -n 1)
    [ -n "$limit" ] || diverged "its timeline $timeline is none that the master's timeline $master_timeline came from"
  elif [ ! -e "$PGDATA/standby.signal" ]; then
    diverged "it was written to on timeline $timeline, which is also the master's"
  fi
  if [ "$(lsn_value "$own_lsn")" -gt "$(lsn_value "$limit")" ] || has_wal_after "$limit" "$timeline"; then
    diverged "it has WAL after $limit, where the master ${timeline:+(timeline $master_timeline) }ends or left timeline $timeline"
  fi
}
has_wal_after() { # lsn timeline: is there a whole record at or after it
  first_record "$(lsn_value "$1")" "$2" >/dev/null
}
# pg_waldump waits 5 s for a file that is not there, so it is looked for first.
first_record() { # position timeline: the first record at or after it in this directory's WAL
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
  die $E_DIVERGED "$PGDATA is not behind the master: $1; nothing was changed: save what only it has, then move $PGDATA away (in storage by class: delete the claim of pod $PGSET_POD) and delete the pod: it will be cloned"
}

# --- slot and WAL -----------------------------------------------------------------------------------------

# The slot keeps the WAL that this replica still needs. One that keeps nothing (made without a reservation,
# or lost to max_slot_wal_keep_size) is made anew. Returns 1 when the master has to be asked again.
ensure_slot() { # fresh: made anew in any case
  local slot answer commands
  slot=$(slot_name)
  commands=("CREATE_REPLICATION_SLOT \"$slot\" PHYSICAL RESERVE_WAL")
  if [ "${1:-}" = fresh ]; then
    # One connection: psql goes on after an error, and ends as the last command did.
    commands=("DROP_REPLICATION_SLOT \"$slot\"" "${commands[@]}")
  elif [ "$(image_major)" -ge 15 ] && answer=$(replication "READ_REPLICATION_SLOT \"$slot\"") && [ "${answer%%|*}" = physical ]; then
    answer=${answer#*|}
    [ -z "${answer%%|*}" ] || return 0
    ensure_slot fresh
    return
  fi
  if replication "${commands[@]}" >/dev/null; then
    log "made the slot $slot on $PGSET_MASTER_HOST"
  elif [ "${1:-}" = fresh ]; then
    # That there was none to drop is not why none could be made.
    sed -i "/slot \"$slot\" does not exist/d" "$scratch/error"
    return 1
  else
    grep -q 'already exists' "$scratch/error"
  fi
}

# Can the standby go on from where its own WAL ends? Asked by starting to stream from that very segment,
# through the slot: if the answer is yes the slot holds it from now on.
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
        # A segment that ends with a switch is complete: the next one is asked for.
        if ends_with_switch "$segment" "$size"; then
          segment=$((segment + 1))
          continue
        fi
        log "the master has no WAL any more from $(lsn_text $((segment * size))) on: cloning anew"
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

# The last segment with a record in it; files after it are recycled ones, whose content is old.
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

# 0: streams; 1: the WAL is gone; 2: ask again; 3: the slot is no good
try_segment() { # segment, segment size
  local segment=$1 size=$2 directory status=0
  # At the end of the master's WAL there is nothing to ask for yet.
  [ $((segment * size)) -lt "$(lsn_value "$master_lsn")" ] || return 0
  directory=$(mktemp -d "$PGSET_TMP/pgset-wal.XXXXXX")
  # pg_receivewal goes on with the partial file that it finds: with this one it starts where we want.
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

# A clone counts when it is complete, verified, a standby, on the disk, and renamed: in this order.
clone() {
  local tries=0 started said=-10 recorded
  recorded=$(recorded_identifier)
  while true; do
    wait_for_master 0
    [ -z "$recorded" ] || [ "$recorded" = "$master_identifier" ] ||
      die $E_STRANGER "the master $PGSET_MASTER_HOST has the system identifier $master_identifier and this set is $recorded: it is another set's master"
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
    # A master that restarts is waited for, and so is the end of a connection that it has not yet given up.
    if ! grep -q 'is active for PID' "$scratch/output" && replication IDENTIFY_SYSTEM >/dev/null; then
      tries=$((tries + 1))
    fi
    [ "$tries" -lt "$PGSET_CLONE_TRIES" ] || die $E_CLONE "clone from $PGSET_MASTER_HOST:$PGSET_MASTER_PORT failed $tries times: $(reason "$scratch/output")"
    sleep 1
  done
  make_standby "$PGDATA.new"
  sync_directory "$PGDATA.new"
  put_in_place
  log "cloned in $((SECONDS - started)) s"
}
# Called where a failure is expected, so it stops at the first one by itself.
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
  exec 9>&- # the lock is not for a process that outlives a killed script
  while sleep 10 && kill -0 $$ 2>/dev/null; do
    seconds=$((seconds + 10))
    log "cloning: $(du -sm "$PGDATA.new" 2>/dev/null | cut -f1) MB, $seconds s"
  done
}

# --- the server -------------------------------------------------------------------------------------------

local_sql() { psql -XAtqw -h "$PGSET_SOCKETS" -U postgres -d postgres -c "$1"; }

# The bootstrap ran in the init container, perhaps long ago: a container that restarts comes here only.
serve() {
  local file
  for file in "$PGDATA/PG_VERSION" "$PGSET_RUN/bootstrap.conf"; do
    [ -s "$file" ] || die $E_UNPREPARED "$file is missing: the bootstrap has to run first; delete the pod"
  done
  [ "$(role)" = master ] || [ -e "$PGDATA/standby.signal" ] ||
    die $E_UNPREPARED "$PGDATA has no standby.signal: a replica is never started writable; delete the pod, so that it is compared with the master"
  lock
  if [ -e "$PGDATA.old" ] && [ "$(role)" = replica ]; then sweep_when_streaming & fi
  rm -rf "$scratch"
  exec postgres -D "$PGDATA" -c "config_file=$PGSET_ETC/postgresql.conf" -c "hba_file=$PGSET_ETC/pg_hba.conf"
}
sweep_when_streaming() {
  exec 9>&- # the lock is the server's
  until [ "$(local_sql "select status from pg_stat_wal_receiver" 2>/dev/null)" = streaming ]; do
    kill -0 $$ # the server's process: it ends, this ends
    sleep 1
  done
  rm -rf "$PGDATA.old"
  log "$PGDATA streams: $PGDATA.old is deleted"
}

ready() {
  local want=t answer
  [ "$(role)" = replica ] || want=f
  answer=$(local_sql 'select pg_is_in_recovery()' 2>&1) || {
    log "not ready: $answer"
    return 1
  }
  [ "$answer" = "$want" ] || {
    log "not ready: the server is $([ "$answer" = t ] && echo "a standby" || echo "writable") and pod $PGSET_POD is the $(role)"
    return 1
  }
}
# 0: accepts, 1: rejects, for it starts, stops or recovers; both are alive.
alive() {
  local status=0
  pg_isready -q -h "$PGSET_SOCKETS" || status=$?
  [ "$status" -le 1 ] || return 1
  # Certificates that somebody renewed reach the server without anybody's doing.
  (follow_tls) >/dev/null 2>&1 || true
}
# The checkpoint makes the shutdown short. The signal makes it a fast one, whatever signal the image asks for.
checkpoint() {
  timeout 300 psql -XAtqw -h "$PGSET_SOCKETS" -U postgres -d postgres -c CHECKPOINT || log "no checkpoint before the shutdown"
  kill -INT "$(head -n 1 "$PGDATA/postmaster.pid")"
}

bootstrap() {
  need PGSET_NAME PGSET_NAMESPACE PGSET_PRIMARY_USER PGSET_USER PGSET_DATABASE PGSET_MASTER_HOST PGSET_REPLICA_HOST
  log "pod $PGSET_POD is the $(role)"
  check_volume
  label
  lock
  clear_half
  write_run
  "$(role)"
}

main() {
  need PGSET_POD PGDATA
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
