#!/usr/bin/env bash
# shellcheck disable=SC2154
# Part of bootstrap.sh: what the server's configuration includes, passwords, certificates.

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
  local password version
  password=$(<"$PGSET_AUTH/primary-password")
  password=${password//\\/\\\\}
  printf '*:*:*:%s:%s\n' "${PGSET_PRIMARY_USER//:/\\:}" "${password//:/\\:}" >"$PGSET_RUN/passfile.new"
  mv "$PGSET_RUN/passfile.new" "$PGSET_RUN/passfile"
  [ "$(tls_stage)" != required ] || await_certificates
  if wants_certificates && certificates_differ; then
    take_certificates || [ "$(tls_stage)" != required ] ||
      die $E_TLS "tls.key is not the key of tls.crt in Secret $(tls_secret): the server would not start with them"
  fi
  version=$(postgres --version)
  [[ $version =~ [0-9]+ ]] || die $E_USAGE "postgres --version prints no number: $version"
  put "$PGSET_RUN/major" "${BASH_REMATCH[0]}"
  write_conf || true
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
  major=$(image_major)
  # A query ends when its client has disconnected.
  [ "$major" -lt 14 ] || echo "client_connection_check_interval = '10s'"
  # Settings are pgset's: the next clone would bring what ALTER SYSTEM wrote to one server only.
  [ "$major" -lt 17 ] || echo "allow_alter_system = off"
  if [ "$(tls_stage)" != off ] && [ -e "$PGSET_RUN/tls/tls.crt" ]; then
    echo "ssl = on"
    echo "ssl_cert_file = $(quote_setting "$PGSET_RUN/tls/tls.crt")"
    echo "ssl_key_file = $(quote_setting "$PGSET_RUN/tls/tls.key")"
  fi
  # For the peers: the epoch, and where the WAL of a standby ended when its server started.
  echo "pgset.epoch = $epoch"
  echo "pgset.diverged = $([ -e "$PGDATA.diverged" ] && echo on || echo off)"
  if [ "$(role)" = master ]; then echo "pgset.wal_end = '0/0'"; else echo "pgset.wal_end = '$(cat "$PGSET_RUN/end" 2>/dev/null || echo 0/0)'"; fi
  # A standby streams once it was compared with the master.
  if [ "$(role)" = replica ] && [ -e "$PGSET_RUN/follows" ]; then
    echo "primary_conninfo = $(quote_setting "$(conninfo "$PGSET_POD" "$PGSET_MASTER_HOST")")"
    echo "primary_slot_name = $(quote_setting "$(slot_name)")"
  fi
}

# The liveness probe and `follow` write it, too. Returns 1 if nothing has changed.
write_conf() (
  exec 8>"$PGSET_RUN/conf.lock"
  flock 8
  conf=$(bootstrap_conf) || exit 1
  [ "$conf" != "$(cat "$PGSET_RUN/bootstrap.conf" 2>/dev/null)" ] || exit 1
  put "$PGSET_RUN/bootstrap.conf" "$conf"
)

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
    : >"$mark" || return 1
    write_conf || true
  fi
  if [ -e "$mark" ]; then
    kill -HUP "$(postmaster)" && rm -f "$mark"
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
