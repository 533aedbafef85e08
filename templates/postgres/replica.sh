#!/usr/bin/env bash
# shellcheck disable=SC2154
# Part of bootstrap.sh: the data of a replica: how it finds its master, is compared with it, and is cloned from it.

# --- the replica ------------------------------------------------------------------------------------------

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

# Connection strings for the master. They are computed once per wait and not for each attempt, because all
# replicas connect at the same time, while the master is starting.
all_hosts='' first_host='' to_master=''
find_master() {
  local hosts
  hosts=$(master_hosts)
  all_hosts=$(conninfo "bootstrap-$PGSET_POD" "$hosts")
  first_host=$(conninfo "bootstrap-$PGSET_POD" "${hosts%%,*}")
}
# Sends commands over a replication connection, and prints their answers. The caller may set `time_limit`, in seconds.
replication() { # commands; errors: $scratch/error
  local command arguments=()
  for command; do arguments+=(-c "$command"); done
  # Only a server in recovery is read-only then: `wait_for_master`.
  PGOPTIONS='-c default_transaction_read_only=off' ${time_limit:+timeout "$time_limit"} psql -XAtqw -d "$to_master replication=true" "${arguments[@]}" 2>"$scratch/error"
}

master_identifier='' master_timeline='' master_lsn=''
# Whether a server that accepts writes answers at $to_master. Errors: $scratch/error.
ask_master() {
  local read_only=''
  replication IDENTIFY_SYSTEM 'SHOW transaction_read_only' >"$scratch/identity" || return 1
  to_master=$all_hosts
  { IFS='|' read -r master_identifier master_timeline master_lsn _ && read -r read_only; } <"$scratch/identity" || true
  [ "$read_only" = on ] || return 0
  echo 'it is a standby, which is not promoted yet' >"$scratch/error"
  return 1
}

# Waits until the master answers, and reads its identity. The first pause is 1 s: a master that does not
# answer at once needs at least that long, and the replicas leave it the CPU. Up to 30 s the pause is 0.2 s,
# because an attempt is cheap, and later 1 s. Returns 1 after `patience` seconds (0: no limit), unless the master
# answers and refuses the role.
wait_for_master() { # patience
  local patience=$1 started=$SECONDS said=-10 asked=-1 refused='' answer why waited error='' cause='it gives no reason'
  find_master
  while true; do
    # If a Service has no endpoints, connections are rejected by ICMP, and a node sends a pod only one ICMP
    # error per second. A replica that asks more often would wait a second for it and could not try the other
    # host meanwhile.
    if [ "$SECONDS" = "$asked" ]; then to_master=$first_host; else to_master=$all_hosts asked=$SECONDS; fi
    ! ask_master || return 0
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
    if [ "$patience" != 0 ] && [ "$waited" -ge "$patience" ] && [ -z "$refused" ]; then
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

# The bootstrap of a replica. A directory that is there starts as a standby at once, without a server to stream from: so
# it can answer its peers, and serve reads when the master is away. `follow` compares it with the master first.
replica() {
  set_aside
  if is_empty "$PGDATA"; then
    [ "$master_pod" != none ] || log "no pod is the master: waiting for one"
    clone
    : >"$PGSET_RUN/cloned"
    return
  fi
  check_existing
  check_shared_tablespaces
  if [ ! -e "$PGDATA/standby.signal" ]; then
    # The server has accepted writes, so it must be proved that it has no WAL that the master lacks.
    log "$PGDATA has no standby.signal: it was a master"
    : >"$PGSET_RUN/was-master" # `drop_old_slots`
    write_role_file "$(control 'Database system identifier')" "$((known_epoch > 0 ? known_epoch : 1))" "$PGSET_POD"
    # If the transition is backed out, it is the master again: `standby_as_master`.
    ! fenced || put_durably "$PGDATA.stopped" "$epoch" || die $E_FULL "$PGDATA.stopped can't be written: make the volume larger"
  fi
  make_standby "$PGDATA"
  log "$PGDATA starts as a standby"
}

# `pgset rejoin` asks for it: moves a directory that has diverged, or can't be read, away, and keeps it. With `clone`, any
# directory. A request counts in its epoch only, and once: the command may be interrupted, and the request stay.
set_aside() {
  local aside=$PGDATA.diverged-$epoch pod its_epoch id what data free number=1
  [ -n "$is_current" ] || return 0
  read -r pod its_epoch id what <<<"$rejoin" || true
  [ "$pod" = "$PGSET_POD" ] && [ "$its_epoch" = "$epoch" ] && [ "$id" != "$(cat "$PGDATA.rejoined" 2>/dev/null)" ] || return 0
  [ "$what" = clone ] || [ -e "$PGDATA.diverged" ] || ! (read_control) 2>/dev/null || return 0
  if ! is_empty "$PGDATA"; then
    data=$(du -sk "$PGDATA" | cut -f1) free=$(df -Pk "${PGDATA%/*}" | awk 'END { print $4 }')
    [ "$free" -ge $((data + 64 * 1024)) ] ||
      die $E_FULL "the volume at ${PGDATA%/*} has $((free / 1024)) MB free, and a clone beside the $((data / 1024)) MB of $PGDATA needs $((data / 1024 + 64)) MB: make it larger"
    while [ -e "$aside" ]; do
      number=$((number + 1))
      aside=$PGDATA.diverged-$epoch.$number
    done
    mv -T "$PGDATA" "$aside"
    log "$PGDATA is moved to $aside, as pgset rejoin asked for: it will be cloned; delete $aside when you no longer need it"
  fi
  rm -f "$PGDATA.diverged"
  put_durably "$PGDATA.rejoined" "$id" || die $E_FULL "$PGDATA.rejoined can't be written: make the volume larger"
}

# Runs beside the server of a replica. Writes which server to stream from only after the directory was compared.
follow() {
  # Another process may have written it since this one began.
  read_role_file
  case $master_pod in
    none | unknown)
      await_master
      return
      ;;
  esac
  if is_empty "$PGDATA"; then
    clone_again
  elif [ ! -e "$PGSET_RUN/follows" ]; then
    read_control
    read -r timeline last_record wal_end segment_size <"$PGSET_RUN/survey"
    wait_for_master "$PGSET_MASTER_WAIT" || {
      # What has diverged serves no reads.
      if [ ! -e "$PGDATA.diverged" ]; then
        log "$PGSET_MASTER_HOST:$PGSET_MASTER_PORT did not answer for $PGSET_MASTER_WAIT s: ready, but not compared with the master"
        : >"$PGSET_RUN/compared"
      fi
      wait_for_master 0
    }
    [ "$(control 'Database system identifier')" = "$master_identifier" ] ||
      die $E_STRANGER "$PGDATA has the system identifier $(control 'Database system identifier') and the master $PGSET_MASTER_HOST has $master_identifier: it is another set's volume; mount the right one"
    compare_history
    if wal_is_there; then
      log "$PGDATA continues as a standby of $PGSET_MASTER_HOST"
      rm -f "$PGDATA.diverged"
      : >"$PGSET_RUN/follows"
      reload
      # Before it is ready: a command that makes it the master gives it slots again.
      [ ! -e "$PGSET_RUN/was-master" ] || drop_old_slots_when_up
      : >"$PGSET_RUN/compared"
    else
      clone_again
    fi
  fi
  read_control
  write_role_file "$(control 'Database system identifier')" "$epoch" "$master_pod"
  sweep_when_streaming
  keep_following
}
# While this standby runs, another pod may become the master, and this one may not have been told: its node was away. Then
# it also may have received WAL that the new master never had.
keep_following() {
  local since=$SECONDS found answer
  while attended sleep 5 && kill -0 $$ 2>/dev/null; do
    if found=$(named_by_mount $((epoch + 1))); then
      follow_master "${found% *}" "${found#* }"
      return
    fi
    answer=$(local_sql "select count(*), current_setting('synchronous_standby_names') <> '' from pg_stat_wal_receiver where status = 'streaming'" 2>/dev/null) || answer=''
    if [ "${answer%|*}" = 1 ]; then
      since=$SECONDS
      [ ! -e "$PGSET_RUN/was-master" ] || drop_old_slots || true
      [ "${answer#*|}" = f ] || attest
    elif [ $((SECONDS - since)) -ge 15 ]; then
      since=$SECONDS
      find_master
      to_master=$all_hosts
      ask_master || continue
      write_end
      # An old master, which may still be behind the Service, tells nothing.
      [ "$master_timeline" -lt "$timeline" ] || compare_history
    fi
  done
}
# With synchronous replication, a master to which too few replicas listen acknowledges nothing. That proves that a lost
# master writes no more (`pgset failover`), if it was the running master's setting. So each replica keeps what the master
# says: the epoch, since when it has said so, when it did last, and the setting.
attest() {
  # A node that freezes may have accepted the connection, and never answers.
  local time_limit=10 read_only its_epoch='' names='' now kept_epoch='' since='' kept_names=''
  find_master
  to_master=$all_hosts
  replication 'SHOW transaction_read_only' 'SHOW pgset.epoch' 'SHOW synchronous_standby_names' >"$scratch/attested" || return 0
  { read -r read_only && read -r its_epoch && read -r names; } <"$scratch/attested" || true
  # Not a standby that has the label of the master.
  [ "$read_only $its_epoch" = "off $epoch" ] || return 0
  now=$(date +%s)
  [ ! -s "$PGSET_RUN/synchronous" ] || read -r kept_epoch since _ kept_names <"$PGSET_RUN/synchronous"
  [ "$kept_epoch $kept_names" = "$epoch $names" ] || since=$now
  put "$PGSET_RUN/synchronous" "$epoch $since $now $names"
}
# Runs while no master is known. Usually `pgset` tells who becomes it. If it was killed, or could not reach this pod, the
# mounted topology does, a minute later: with a later epoch than that in which there is none.
await_master() {
  local waited=0 least=$((epoch + 1)) found
  if [ "$master_pod" = none ]; then
    log "no pod is the master: this standby streams from no server"
  else
    log "the topology is not followed: this standby streams from no server"
    least=$epoch
  fi
  until found=$(named_by_mount "$least"); do
    attended sleep 2
    waited=$((waited + 2))
    # Without a master on purpose, replicas serve reads.
    [ "$master_pod" = unknown ] || [ "$waited" -lt "$PGSET_MASTER_WAIT" ] || : >>"$PGSET_RUN/compared"
  done
  follow_master "${found% *}" "${found#* }"
}
# Prints epoch and master of the mounted topology, if it names another pod and has at least this epoch. It may be old, but
# a standby can't become writable by it.
named_by_mount() { # epoch
  local its_epoch its_master
  its_epoch=$(mounted epoch) its_master=$(mounted master)
  is_number "$its_epoch" && [ "$its_epoch" -ge "$1" ] || return 1
  case $its_master in
    '' | none | "$PGSET_POD") return 1 ;;
  esac
  echo "$its_epoch $its_master"
}
# The slots that an old master had for its replicas would keep its WAL. A replica that may become the master has such
# slots, too: so this happens once.
drop_old_slots() {
  local_sql "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_type = 'physical' and not active
    and slot_name ~ '^${PGSET_NAME//-/_}_[0-9]+$' and substring(slot_name from '[0-9]+$')::numeric < ${pods:-0}" >/dev/null 2>&1 &&
    rm -f "$PGSET_RUN/was-master"
}
# The server of this pod may still be starting.
drop_old_slots_when_up() {
  local tries=0
  until drop_old_slots; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || return 0 # `keep_following` tries again
    sleep 0.1
  done
}
# Replaces the directory by a clone, while no server runs. The old one stays until the new one streams. If there are
# already two, the first one stays: the second is a clone that never streamed.
clone_again() {
  : >"$PGSET_RUN/cloning"
  rm -f "$PGSET_RUN/was-master" # a clone has no slots
  stop_server
  if ! is_empty "$PGDATA"; then
    if [ -e "$PGDATA.old" ]; then
      rm -rf "$PGDATA"
    else
      keep_stray_tablespaces
      mv -T "$PGDATA" "$PGDATA.old"
    fi
  fi
  rm -f "$PGDATA.diverged"
  clear_half
  clone
  : >"$PGSET_RUN/follows"
  write_end
  write_conf || true
  : >"$PGSET_RUN/compared"
  rm "$PGSET_RUN/cloning"
}
stop_server() {
  local process
  while process=$(postmaster); do
    kill -INT "$process" 2>/dev/null || true
    sleep 0.1
  done
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
compare_history() {
  local own_lsn=$wal_end limit=$master_lsn history
  [ "$timeline" -le "$master_timeline" ] ||
    diverged "it is on timeline $timeline and the master $PGSET_MASTER_HOST on $master_timeline"
  if [ "$timeline" != "$master_timeline" ]; then
    until history=$(replication "TIMELINE_HISTORY $master_timeline"); do
      sleep 0.5
      wait_for_master 0
      limit=$master_lsn
    done
    limit=$(left_at "$history" "$timeline")
    [ -n "$limit" ] || diverged "its timeline $timeline is not an ancestor of the master's timeline $master_timeline"
  elif [ "$known_master" = "$PGSET_POD" ]; then
    diverged "it accepted writes on timeline $timeline, which is also the master's timeline"
  fi
  if [ "$own_lsn" -gt "$(lsn_value "$limit")" ] || has_wal_after "$(lsn_value "$limit")"; then
    diverged "it has $((own_lsn > $(lsn_value "$limit") ? own_lsn - $(lsn_value "$limit") : 0)) bytes of WAL after $limit, where timeline $timeline ends on the master (timeline $master_timeline)"
  fi
}
diverged() { # why
  put "$PGDATA.diverged" "$1"
  die $E_DIVERGED "$PGDATA has diverged from the master: $1; nothing was deleted; to keep $PGDATA under another name, and to clone it again: $(pgset_command "rejoin $PGSET_POD")"
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
  local said=-10 status segment=$((last_record / segment_size))
  while true; do
    status=0
    if ensure_slot; then try_segment "$segment" || status=$?; else status=2 && cp "$scratch/error" "$scratch/output"; fi
    case $status in
      0) return 0 ;;
      1)
        # A segment that ends with a WAL switch is complete, so try the next one.
        if ends_with_switch "$segment"; then
          segment=$((segment + 1))
          continue
        fi
        log "the master no longer has the WAL from $(lsn_text $((segment * segment_size))) on: cloning again"
        return 1
        ;;
      3) ensure_slot fresh || true ;;
      4) diverged "its WAL before $(lsn_text "$wal_end") is not the WAL of the master $PGSET_MASTER_HOST (timeline $timeline)" ;;
    esac
    if [ $((SECONDS - said)) -ge 10 ]; then
      log "waiting to stream from $PGSET_MASTER_HOST ($(reason "$scratch/output"))"
      said=$SECONDS
    fi
    sleep 0.5
    wait_for_master 0
  done
}
# Returns 0: streams, and is the same WAL; 1: the WAL was removed; 2: try again; 3: the slot can't be used; 4: other WAL.
try_segment() { # segment
  local start=$(($1 * segment_size)) end=$wal_end status=0
  # The position is at the end of the master's WAL, so there is nothing to stream yet.
  [ "$start" -lt "$(lsn_value "$master_lsn")" ] || return 0
  [ "$end" -le $((start + segment_size)) ] || end=$((start + segment_size))
  # After a segment that ends with a switch there may be nothing to compare.
  [ "$end" -gt "$start" ] || end=$start
  stream_and_compare "$start" "$end" -d "$to_master" --slot="$(slot_name)" || status=$?
  case $status in
    1) return 4 ;;
    2)
      ! grep -q 'has already been removed' "$scratch/output" || status=1
      ! grep -q 'can no longer\|cannot read from replication slot\|invalidated' "$scratch/output" || status=3
      ;;
  esac
  return "$status"
}

# --- the clone --------------------------------------------------------------------------------------------

# A clone is valid only after these steps, in this order: complete, verify, make a standby, sync, rename.
clone() {
  local tries=0 started said=-10
  while true; do
    wait_for_master 0
    [ -z "$recorded_identifier" ] || [ "$recorded_identifier" = "$master_identifier" ] ||
      die $E_STRANGER "the master $PGSET_MASTER_HOST has the system identifier $master_identifier and this set has $recorded_identifier: it is another set's master"
    check_shared_tablespaces
    check_room
    started=$SECONDS
    ! fetch_clone || break
    forget_half
    ! clear_location || continue
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
  # Before the rename: for a complete directory it would be wrong.
  [ ! -e "$PGDATA.half" ] || rm -f "$PGDATA.half"
  # An earlier directory may have been the master's. Of this one, that would mean that it has diverged: `compare_history`.
  case $master_pod in
    none | unknown) ;; # no pod is the master of this epoch
    *) write_role_file "$master_identifier" "$epoch" "$master_pod" ;;
  esac
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
    --manifest-checksums=SHA256 --no-sync --no-clean || status=$?
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
