#!/usr/bin/env bash
# shellcheck disable=SC2154
# Part of bootstrap.sh: the data of the master, and what its peers say about it.

# --- the master -------------------------------------------------------------------------------------------

master() {
  local identifier
  if ! is_empty "$PGDATA"; then
    check_existing
    [ ! -e "$PGDATA/standby.signal" ] || standby_as_master
    identifier=$(control 'Database system identifier')
    log "$PGDATA is PostgreSQL $(image_major), system identifier $identifier"
    # The server's container asks the peers, unless their answer decides what is recorded here. The kubelet looks only
    # once a second whether this container has ended.
    if [ -z "$recorded_identifier" ]; then
      ask_peers
      record_identifier
      may_serve "$identifier"
    fi
    return
  fi
  [ -z "$recorded_identifier" ] ||
    die $E_LOST "the volume is empty, but this set was initialized (system identifier $recorded_identifier): the wrong volume is mounted, or the volume was lost; mount the right volume, or make a replica that has the data the master: $(pgset_command failover)"
  [ ! -e "$PGDATA.old" ] ||
    die $E_LOST "the volume has no $PGDATA but $PGDATA.old, the old directory of a replica: rename it to $PGDATA, or move it away$([ ! -e "$PGDATA.old.tablespaces" ] || echo "; its tablespaces are in $PGDATA.old.tablespaces")"
  ask_peers
  case $PGSET_ORIGIN in
    initdb) initialise ;;
    *) die $E_USAGE "the variable PGSET_ORIGIN is $PGSET_ORIGIN: this version supports initdb only" ;;
  esac
  record_identifier
  may_serve "$(control 'Database system identifier')"
}
# Only a promotion may make a standby writable. Without standby.signal, the server would continue to write on a timeline
# that other servers may have extended. It starts, but becomes ready only after a promotion.
standby_as_master() {
  local id kind from to step position
  read -r id kind from to step _ position _ <<<"$transition" || true
  if [ "${step:-}" = promoting ] && [ "$to" = "$PGSET_POD" ]; then
    log "$PGDATA contains a standby: the promotion of this pod ($kind $id from $from) is completed once the server runs"
    # After a failover, what the old master wrote last may be missing.
    [ "$kind" = switchover ] || position=''
    put "$PGSET_RUN/promote" "$position"
  elif [ "$(cat "$PGDATA.stopped" 2>/dev/null)" = "$epoch" ] && [ "$(control 'Database cluster state')" = 'shut down' ]; then
    # It was stopped for a transition that was backed out, and has not run as a standby since.
    log "$PGDATA was stopped cleanly as the master of epoch $epoch, and continues"
    rm -f "$PGDATA/standby.signal" "$PGDATA.stopped"
    sync_entry "$PGDATA/standby.signal"
  else
    log "$PGDATA contains a standby: the server starts as a standby and is not ready until it is promoted: $(pgset_command up)"
  fi
}
# Runs before the first server of a pod starts. A container that restarts has the directory that was compared.
ask_before_serving() {
  [ "$(role)" = master ] && [ ! -e "$PGSET_RUN/may-serve" ] || return 0
  trap bootstrap_ends EXIT
  read_control
  ask_peers
  trap clean_up EXIT
  [ -n "$stopping" ] || may_serve "$(control 'Database system identifier')"
}
may_serve() { # identifier
  rm -f "$PGDATA.diverged"
  write_role_file "$1" "$epoch" "$PGSET_POD"
  : >"$PGSET_RUN/may-serve"
}

# --- the peers --------------------------------------------------------------------------------------------

# Asks the other pods for their data before this pod begins a history or continues one, and ends the script if this pod
# must not: a peer has data and this pod has none; a peer has other data; a peer has more of the same data.
#
# A peer that answers but does not tell has data, so it is asked again. Where the identifier of this directory is on
# record, that ends after a while: to let this pod in may need this very server (a rotation that was killed), and so may
# the end of its recovery (a standby whose last checkpoint was in a transaction with many subtransactions needs more WAL
# before it accepts a connection). If such a peer has more data, that still exists, and is compared before it streams. A
# pod that gives no answer may be starting: it is asked for some seconds, but not in a set that is being created.
ask_peers() {
  local started=$SECONDS said=-10 patience=$PGSET_PEER_WAIT waited list peer number processes busy refused silent judged=' '
  [ -z "$first_start" ] || patience=0
  [ -n "$PGSET_PEERS" ] || command -v getent >/dev/null ||
    die $E_USAGE "the image has no getent, which finds the other pods of the set: use the official image"
  find_resolver
  read_neighbours
  while [ -z "$stopping" ]; do
    busy='' refused='' silent='' number=0 processes=()
    rm -f "$scratch"/peer.*
    list=$(peers)
    for peer in $list; do
      number=$((number + 1))
      [[ $judged != *" $peer "* ]] || continue
      ask_peer "$peer" >"$scratch/peer.$number" 2>"$scratch/peer.$number.error" &
      processes+=($!)
    done
    [ ${#processes[@]} = 0 ] || wait "${processes[@]}" || true
    number=0
    for peer in $list; do
      number=$((number + 1))
      [[ $judged != *" $peer "* ]] || continue
      hear "$peer" "$scratch/peer.$number"
    done
    waited=$((SECONDS - started))
    if [ -n "$busy$refused" ] && [ -n "$recorded_identifier" ] && ! is_empty "$PGDATA" &&
      [ "$waited" -ge "$([ -n "$busy" ] && echo "$PGSET_BUSY_WAIT" || echo "$PGSET_PASSWORD_WAIT")" ]; then
      log "continuing without the answer of another pod after $waited s: ${busy:-$refused}"
      busy='' refused=''
    fi
    if [ -z "$busy$refused" ] && { [ -z "$silent" ] || [ "$waited" -ge "$patience" ]; }; then
      [ -z "$silent" ] || log "no answer from $silent"
      return 0
    fi
    if [ $((SECONDS - said)) -ge 10 ]; then
      log "waiting for the answer of the other pods (${busy:-${refused:-$silent}}), $waited s"
      said=$SECONDS
    fi
    sleep 0.3
  done
}
# Sorts one answer, into `judged`, `busy`, `refused` or `silent` of the caller.
hear() { # address:port, file with the answer
  local identifier theirs position its_epoch='' its_end='' diverged='' trouble status=0
  {
    IFS='|' read -r identifier theirs position _ && read -r its_epoch && read -r its_end && read -r diverged
  } <"$2" || true
  if [[ $identifier =~ ^[0-9]+$ ]] && [ "$diverged" = on ] && is_discarded "the pod at $1"; then
    judged+="$1 "
    return
  fi
  if [[ $identifier =~ ^[0-9]+$ ]]; then
    # A standby that has not replayed all its WAL yet has more than it says.
    if [ -n "$its_end" ] && [ "$(lsn_value "$position")" -lt "$(lsn_value "$its_end")" ]; then
      busy="the pod at $1 still replays its WAL: it is at $position, and has WAL up to $its_end at least"
      return
    fi
    judge "the pod at $1" "$identifier" "$theirs" "$(lsn_value "$position")" "$its_epoch" "$(peer_conninfo "$1")" || status=$?
    if [ "$status" = 0 ]; then judged+="$1 "; else busy="the WAL of the pod at $1 can't be read: $(reason "$scratch/output")"; fi
    return
  fi
  trouble=$(reason "$2.error")
  case $(<"$2.error") in
    *SSL* | *'certificate'*) refused="$1: $trouble" ;;
    *'starting up'* | *'shutting down'* | *'not yet accepting'* | *'not accepting connections'* | *'in recovery mode'* | *'too many'* | *'exceeds max_wal_senders'*)
      busy="$1: $trouble"
      ;;
    *FATAL:*) refused="$1: $trouble" ;;
    'no address') silent="$1: its name does not resolve" ;;
    *) silent="$1: $trouble" ;;
  esac
}
# Ends the script if the data of a peer forbids that this pod begins or continues a history. Returns 2 if the peer's WAL
# can't be read.
judge() { # who, identifier, timeline, position, epoch, a directory or how to connect
  local who=$1 own history status=0
  is_empty "$PGDATA" &&
    die $E_LOST "the volume is empty, but $who has data of this set (system identifier $2): the wrong volume is mounted, or the volume was lost; mount the right volume, or make a pod that has the data the master: $(pgset_command failover)"
  own=$(control 'Database system identifier')
  [ "$own" = "$2" ] ||
    die $E_STRANGER "$PGDATA has the system identifier $own and $who has $2: one of them is another set's volume; mount the right one"
  ! is_number "$5" || [ "$5" -le "$epoch" ] ||
    die $E_TOPOLOGY "$who knows epoch $5, and ConfigMap $PGSET_NAME-topology has $epoch: it was replaced by an earlier one; the newest is recorded again by: $(pgset_command up)"
  [ -n "$segment_size" ] || survey "$PGDATA"
  if [ "$3" -gt "$timeline" ]; then
    history=$(history_of "$6" "$3") || return 2
    [ -z "$(left_at "$history" "$timeline")" ] ||
      die $E_BEHIND "$PGDATA is on timeline $timeline and $who on $3, which begins there: it was promoted and has newer data; nothing was changed: $(advice)"
    log "$who is on timeline $3, which has nothing to do with timeline $timeline of $PGDATA"
  elif [ "$3" = "$timeline" ]; then
    same_wal "$4" "$6" || status=$?
    [ "$status" != 1 ] ||
      die $E_BEHIND "$PGDATA does not have the WAL that $who has before $(lsn_text "$4") (timeline $timeline): it is an older copy, or it lost data; nothing was changed: $(advice)"
    return "$status"
  else
    # It is the peer that has to follow: its bootstrap compares it with this pod.
    log "$who is on the earlier timeline $3"
  fi
}
# Whether the data of a peer that has diverged does not count. Where this pod has no data, all that there is counts.
is_discarded() { # who
  ! is_empty "$PGDATA" || return 1
  log "$1 has diverged from a master that served: what it has does not count"
}
advice() { echo "mount the right volume, or make the other pod the master: $(pgset_command failover)"; }
history_of() { # a directory or how to connect, timeline
  if [ -d "$1" ]; then
    cat "$1/pg_wal/$(printf %08X "$2").history" 2>"$scratch/output"
  else
    timeout 5 psql -XAtqw -d "$1 replication=true" -c "TIMELINE_HISTORY $2" 2>"$scratch/output"
  fi
}
# On a shared volume the directories of the peers are beside this one, and tell as much as their servers. Another set's
# name may begin with this one's.
neighbours() {
  local directory ordinal
  for directory in "${PGDATA%/*}/$PGSET_NAME"-*; do
    ordinal=${directory#"${PGDATA%/*}/$PGSET_NAME-"}
    if [[ $ordinal =~ ^(0|[1-9][0-9]*)$ ]] && [ "$directory" != "$PGDATA" ] && [ -s "$directory/global/pg_control" ]; then
      echo "$directory"
    fi
  done
}
read_neighbours() {
  local directory facts identifier theirs position its_epoch
  while read -r directory; do
    [ ! -e "$directory.diverged" ] || ! is_discarded "$directory" || continue
    facts=$(survey_neighbour "$directory") || {
      log "$directory can't be read"
      continue
    }
    its_epoch=''
    [ ! -s "$directory.role" ] || read -r _ its_epoch _ <"$directory.role" || true
    read -r identifier theirs position <<<"$facts"
    judge "$directory" "$identifier" "$theirs" "$position" "$its_epoch" "$directory" || log "the WAL of $directory can't be read"
  done < <(neighbours)
}
survey_neighbour() { # directory: prints its identifier, timeline and position
  pg_controldata -D "$1" >"$scratch/control.neighbour" 2>/dev/null || return 1
  control() { sed -n "s/^$1: *//p" "$scratch/control.neighbour"; }
  survey "$1"
  echo "$(control 'Database system identifier') $timeline $wal_end"
}
# The addresses of the other pods, and the names of those that the set should have and that have no address yet.
peers() {
  local pod
  [ -z "$PGSET_PEERS" ] || {
    echo "$PGSET_PEERS"
    return
  }
  service_peers
  for ((pod = 0; pod < pods; pod++)); do
    [ "$PGSET_NAME-$pod" = "$PGSET_POD" ] || nameless "$PGSET_NAME-$pod" &
  done
  wait
}
nameless() { # pod: prints it if its name has no address
  trap - ERR EXIT
  [ -n "$(addresses "$1.$PGSET_NAME.$PGSET_NAMESPACE.svc")" ] || echo "$1"
}
# The other addresses of the Service that names all pods, ready or not; its name, if that has no address. The only pod of
# a set need not wait for its own address.
service_peers() {
  local own=' ' address _ found=''
  while read -r address _; do own+="$address "; done < <(addresses "$PGSET_POD")
  while read -r address _; do
    found=1
    case $own in
      *" $address "*) continue ;;
    esac
    own+="$address "
    echo "$address:$PGPORT"
  done < <(addresses "$PGSET_NAME.$PGSET_NAMESPACE.svc")
  [ -n "$found" ] || [ "$pods" = 1 ] || echo "$PGSET_NAME.$PGSET_NAMESPACE.svc"
}
addresses() { timeout 2 getent "$resolver" "$1" 2>/dev/null || true; } # name
resolver=ahosts
# Before 2024 the getent of Alpine has no database `ahosts`; its `hosts` lists all addresses.
find_resolver() { getent ahosts 127.0.0.1 >/dev/null 2>&1 || resolver=hosts; }
# Prints the identifier, the timeline and the position, then the epoch, then where the WAL ended when the server started,
# then whether it has diverged. A pod with an earlier script knows only the first line.
ask_peer() { # address:port, or a name without an address
  trap - ERR EXIT
  exec 9>&- # only the server and this script hold the lock
  if [[ $1 != *:* ]]; then
    echo 'no address' >&2
    return
  fi
  timeout 5 psql -XAtqw -d "$(peer_conninfo "$1") replication=true connect_timeout=2" -c IDENTIFY_SYSTEM \
    -c 'SHOW pgset.epoch' -c 'SHOW pgset.wal_end' -c 'SHOW pgset.diverged' || true
}
# The certificate of a peer is valid for the master's Service, perhaps not for the pod.
peer_conninfo() { echo "$(conninfo "bootstrap-$PGSET_POD" "$PGSET_MASTER_HOST") hostaddr=${1%:*} port=${1##*:}"; } # address:port

# --- new data ---------------------------------------------------------------------------------------------

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
