#!/usr/bin/env bash
# Does what crunchydata/crunchy-postgres does at its start with PG_MODE=set, with the PostgreSQL of this
# machine. Ordinal 0 labels its own pod as the master and creates the database; the others clone it.
set -uo pipefail
fail() { echo "$1"; exit 1; }
# If the container has to end before the server runs, the current step finishes and no other one starts.
trap 'fail "ended before the server ran"' INT TERM

# The names of the variables contain MASTER up to version 1.5, and PRIMARY since 1.6.
for part in HOST PORT USER PASSWORD; do
  new=PG_PRIMARY_$part old=PG_MASTER_$part
  [ -n "${!new:-}" ] || printf -v "$new" '%s' "${!old:-}"
done
PG_PRIMARY_PORT=${PG_PRIMARY_PORT:-5432}
for name in PG_MODE PG_PRIMARY_HOST PG_PRIMARY_USER PG_PRIMARY_PASSWORD PG_USER PG_PASSWORD PG_DATABASE PG_ROOT_PASSWORD; do
  [ -n "${!name:-}" ] || fail "$name env var is not set, aborting"
done
[ "$PG_MODE" = set ] || fail "FATAL:  the sandbox supports only PG_MODE=set, not $PG_MODE"

root=$PGSET_SANDBOX_ROOT
export PGDATA=$root/pgdata/$HOSTNAME PGHOST=$root/tmp
new=$PGDATA/new
mkdir -p "$PGDATA" && chmod 0700 "$PGDATA" || fail "$PGDATA can't be created or written"

# Sets the label that the Service selects, with the rights of the pod's service account.
label() {
  local account=$root/var/run/secrets/kubernetes.io/serviceaccount body answer
  [ -r "$account/token" ] || { echo "no service account token: the pod can't label itself"; return 1; }
  body="{\"metadata\":{\"labels\":{\"name\":\"$1\"}}}"
  answer=$(printf '%s\r\n' \
      "PATCH /api/v1/namespaces/$(<"$account/namespace")/pods/$HOSTNAME HTTP/1.1" \
      "Host: kubernetes" "Authorization: Bearer $(<"$account/token")" "Connection: close" \
      "Content-Type: application/merge-patch+json" "Content-Length: ${#body}" "" "$body" |
    openssl s_client -quiet -verify_return_error -CAfile "$account/ca.crt" \
      -connect "$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT" 2>&1)
  case $answer in
    *"HTTP/1.1 200"*) echo "pod \"$HOSTNAME\" labeled name=$1" ;;
    *) echo "labelling pod $HOSTNAME failed: $answer"; return 1 ;;
  esac
}
# Up to version 2.1.1 a failure is ignored. Since 2.2.0, which requires CCP_NAMESPACE, it ends the pod.
must_label() { label "$1" || [ -z "${CCP_NAMESPACE:-}" ] || exit 1; }

quoted() { printf "'%s'" "${1//\'/\'\'}"; }

make_database() {
  echo "doing initdb...."
  initdb -D "$new" -U postgres --auth-local=trust --auth-host=md5 --encoding=UTF8 --locale=C.UTF-8 --no-sync ||
    fail "initdb failed"
  cat >>"$new/postgresql.conf" <<CONF
wal_level = replica
hot_standby = on
max_wal_senders = ${MAX_WAL_SENDERS:-6}
max_connections = ${MAX_CONNECTIONS:-100}
wal_keep_size = 256MB
CONF
  cat >"$new/pg_hba.conf" <<HBA
local all all trust
host replication $PG_PRIMARY_USER 0.0.0.0/0 md5
host all all 0.0.0.0/0 md5
HBA
  # Single-user mode: nobody can connect to this server.
  postgres --single -D "$new" postgres >/dev/null <<SQL || fail "users and database can't be created"
ALTER ROLE postgres PASSWORD $(quoted "$PG_ROOT_PASSWORD");
CREATE ROLE "$PG_PRIMARY_USER" LOGIN REPLICATION PASSWORD $(quoted "$PG_PRIMARY_PASSWORD");
CREATE ROLE "$PG_USER" LOGIN PASSWORD $(quoted "$PG_PASSWORD");
CREATE DATABASE "$PG_DATABASE";
GRANT ALL ON DATABASE "$PG_DATABASE" TO "$PG_USER";
SQL
}

clone_master() {
  until pg_isready -q --host="$PG_PRIMARY_HOST" --port="$PG_PRIMARY_PORT" --dbname=postgres \
      --username="$PG_PRIMARY_USER" --timeout=2; do
    echo "sleeping till the master can be reached...."
    sleep 0.5
  done
  echo "waiting is over, cloning $PG_PRIMARY_HOST"
  pg_basebackup --wal-method=stream --checkpoint=fast --no-password --no-sync --pgdata="$new" \
    --host="$PG_PRIMARY_HOST" --port="$PG_PRIMARY_PORT" --username="$PG_PRIMARY_USER" ||
    fail "pg_basebackup failed"
  touch "$new/standby.signal"
}

# A data directory is complete if it contains postgresql.conf, which is moved there last. So an
# initialization that was killed starts again.
anew() {
  [ -f "$PGDATA/postgresql.conf" ] && return
  rm -rf "${PGDATA:?}" && mkdir -m 0700 "$PGDATA" && "$1" &&
    find "$new" -mindepth 1 -maxdepth 1 ! -name postgresql.conf -exec mv -t "$PGDATA" '{}' + &&
    mv "$new/postgresql.conf" "$PGDATA" && rmdir "$new" || fail "$PGDATA can't be created"
}

options=(-c "listen_addresses=$PGSET_SANDBOX_ADDRESS" -c "unix_socket_directories=$root/tmp")
ordinal=${HOSTNAME##*-}
echo "$ordinal is ordinal"
if [ "$ordinal" = 0 ]; then
  echo "setting PG_MODE to master"
  must_label "$PG_PRIMARY_HOST"
  anew make_database
else
  echo "setting PG_MODE to slave"
  [ -z "${PG_REPLICA_HOST:-}" ] || must_label "$PG_REPLICA_HOST"
  export PGPASSFILE=$root/tmp/.pgpass
  (umask 077; printf '*:*:*:*:%s\n' "$PG_PRIMARY_PASSWORD" >"$PGPASSFILE")
  anew clone_master
  options+=(-c "primary_conninfo=host=$PG_PRIMARY_HOST port=$PG_PRIMARY_PORT user=$PG_PRIMARY_USER application_name=$HOSTNAME")
fi
unset PG_ROOT_PASSWORD PG_PASSWORD PG_PRIMARY_PASSWORD PG_MASTER_PASSWORD
# Child processes of a killed server may still run. They hold the lock until the last one ends. No other
# container uses this directory.
exec 9<"$PGDATA"
flock 9
rm -f "$PGDATA/postmaster.pid"
exec postgres -D "$PGDATA" "${options[@]}"
