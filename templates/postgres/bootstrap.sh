#!/usr/bin/env bash
# Makes the data directory of one pod, and starts the server on it.
set -euo pipefail
umask 077
say() { printf 'bootstrap: %s\n' "$*"; }
master() { [[ $PGSET_POD == *-0 ]]; }
label() {
  local host=$KUBERNETES_SERVICE_HOST port=$KUBERNETES_SERVICE_PORT sa=/var/run/secrets/kubernetes.io/serviceaccount
  local body="{\"metadata\":{\"labels\":{\"name\":\"$1\"}}}" answer
  answer=$({
    printf 'PATCH /api/v1/namespaces/%s/pods/%s/status HTTP/1.1\r\nHost: %s:%s\r\n' "$PGSET_NAMESPACE" "$PGSET_POD" "$host" "$port"
    printf 'Authorization: Bearer %s\r\nContent-Type: application/merge-patch+json\r\n' "$(cat $sa/token)"
    printf 'Connection: close\r\nContent-Length: %d\r\n\r\n%s' "${#body}" "$body"
  } | timeout 10 openssl s_client -quiet -connect "$host:$port" -CAfile $sa/ca.crt -verify_return_error 2>/dev/null | head -n 1)
  [[ $answer == "HTTP/1.1 200"* ]] || { say "error: the API server answered: $answer"; exit 11; }
}
run_conf() {
  printf '*:*:*:%s:%s\n' "$PGSET_PRIMARY_USER" "$(cat /etc/pgset-auth/primary-password)" >/run/pgset/passfile
  master || printf "primary_conninfo = 'host=%s user=%s passfile=/run/pgset/passfile application_name=%s'\nprimary_slot_name = '%s'\n" \
    "$PGSET_MASTER_HOST" "$PGSET_PRIMARY_USER" "$PGSET_POD" "${PGSET_POD//-/_}" >/run/pgset/bootstrap.conf
}
init() {
  if master; then label "$PGSET_MASTER_HOST"; else label "$PGSET_REPLICA_HOST"; fi
  run_conf
  [[ -s $PGDATA/PG_VERSION ]] && return
  rm -rf "$PGDATA.new"
  if master; then
    initdb -D "$PGDATA.new" -U postgres --pwfile=/etc/pgset-auth/superuser-password -E UTF8 --locale=C.UTF-8 -k --auth-local=peer --auth-host=scram-sha-256 >/dev/null
    pg_ctl -D "$PGDATA.new" -w -o "-c listen_addresses= -k /tmp" start >/dev/null
    psql -h /tmp -U postgres -qX -v ON_ERROR_STOP=1 <<SQL
\set p \`cat /etc/pgset-auth/primary-password\`
\set u \`cat /etc/pgset-auth/user-password\`
create role "$PGSET_PRIMARY_USER" replication login password :'p';
create role "$PGSET_USER" login password :'u';
create database "$PGSET_DATABASE" owner "$PGSET_USER";
SQL
    pg_ctl -D "$PGDATA.new" -w -m fast stop >/dev/null
  else
    until PGPASSFILE=/run/pgset/passfile pg_basebackup -h "$PGSET_MASTER_HOST" -U "$PGSET_PRIMARY_USER" -D "$PGDATA.new" -X stream -c fast -C -S "${PGSET_POD//-/_}" -w; do
      say "waiting for $PGSET_MASTER_HOST:5432"; rm -rf "$PGDATA.new"; sleep 1
    done
    touch "$PGDATA.new/standby.signal"
  fi
  mv -T "$PGDATA.new" "$PGDATA"
}
case ${1:-} in
  '') init ;;
  serve) exec flock --no-fork "$PGDATA.lock" postgres -D "$PGDATA" -c config_file=/etc/pgset/postgresql.conf -c hba_file=/etc/pgset/pg_hba.conf ;;
  ready) pg_isready -q && if master; then [[ $(psql -XAtc 'select pg_is_in_recovery()' -U postgres) == f ]]; else [[ $(psql -XAtc 'select pg_is_in_recovery()' -U postgres) == t ]]; fi ;;
  alive) pg_isready -q || [[ $? == 1 ]] ;;
  checkpoint) psql -XAtc checkpoint -U postgres ;;
esac
