#!/usr/bin/env bash
# shellcheck disable=SC2154
# Part of bootstrap.sh: the server's container. Process 1, what runs beside the server, and the probes.

# --- the server -------------------------------------------------------------------------------------------

# Ends within 4.5 s, before a probe's time (5 s) is over, so that nothing of a probe outlives it.
local_sql() {
  PGCONNECT_TIMEOUT=3 PGOPTIONS="$SQL_OPTIONS -c statement_timeout=1500" \
    psql -XAtqw -h "$PGSET_SOCKETS" -U postgres -d postgres -c "$1"
}

# Where the WAL of this standby ends, while no server runs: for the peers, and for `follow`.
write_end() {
  read_control
  survey "$PGDATA"
  put "$PGSET_RUN/end" "$(lsn_text "$last_record")"
  put "$PGSET_RUN/survey" "$timeline $last_record $wal_end $segment_size"
}
reload() {
  write_conf || return 0
  kill -HUP "$(postmaster)" 2>/dev/null || true
}
postmaster() { # prints its process, if it runs
  local process
  process=$(head -n 1 "$PGDATA/postmaster.pid" 2>/dev/null) && [ -n "$process" ] && is_server "$process" ||
    # The directory was deleted while its server runs.
    { process=$(cat "$PGSET_RUN/server" 2>/dev/null) && [ -n "$process" ] && kill -0 "$process" 2>/dev/null; } || return 1
  echo "$process"
}
# In a new container the process id in an old lock file may belong to any process.
is_server() { [ "/proc/${1#-}/cwd" -ef "$PGDATA" ]; } # process

# The bootstrap has run in the init container, perhaps long ago. A restarted container runs only this.
#
# Process 1 is this shell and not PostgreSQL. A program that a killed probe or a broken `kubectl exec` leaves behind
# becomes a child of process 1, and PostgreSQL takes an unknown child that fails for a crash: it would restart.
serve() {
  local status
  [ -s "$PGSET_RUN/bootstrap.conf" ] || die $E_UNPREPARED "$PGSET_RUN/bootstrap.conf is missing: the bootstrap has to run first; delete the pod"
  prepare_server
  # The kubelet sends the image's stop signal. A smart shutdown (SIGTERM) would wait for the clients.
  trap 'stopping=INT; shut_down "$child"' TERM INT
  trap 'stopping=QUIT; shut_down "$child"' QUIT
  trap forward_reload HUP
  # Wakes this process up: `take_role` in switch.sh has written another role.
  trap : USR1
  put "$PGSET_RUN/process-1" $$
  beside_server keep_the_owner
  start_helpers
  while true; do
    await_permission || break
    change_role
    ask_before_serving
    [ -z "$stopping" ] || break
    forget_dead_servers
    status=0
    run_server || status=$?
    [ ! -e "$PGSET_RUN/failed" ] || break
    [ -z "$stopping" ] || break
    if fenced || [ -e "$PGSET_RUN/cloning" ]; then continue; fi
    if [ "$status" = 0 ] || [ "$(role)" = master ] || ! make_locations; then break; fi
  done
  [ "${status:-0}" != 0 ] || disown_directory
  if [ -s "$PGSET_RUN/failed" ]; then
    read -r status failure <"$PGSET_RUN/failed"
    die "$status" "$failure"
  fi
  exit "${status:-0}"
}
prepare_server() {
  local file
  if [ "$(role)" = master ] || ! is_empty "$PGDATA"; then
    for file in "$PGDATA/PG_VERSION" "$PGDATA/global/pg_control"; do
      [ -s "$file" ] || is_empty "$PGDATA" || die $E_DIRECTORY "$file is missing; $(instead)"
      [ -s "$file" ] || die $E_UNPREPARED "$file is missing: the bootstrap has to run first; delete the pod"
    done
    [ "$(role)" = master ] || [ -e "$PGDATA/standby.signal" ] ||
      die $E_UNPREPARED "$PGDATA has no standby.signal: a replica is never started writable; delete the pod, so that it is compared with the master"
  fi
  [ "$(role)" = master ] || check_shared_tablespaces
  lock
  own
  read_role_file
  rm -rf "$PGSET_RUN"/{follows,compared,cloning,failed,end,server,acts-as} "$PGSET_RUN"/helper.* "$PGSET_TMP"/pgset-wal.*
  if [ "$(role)" = replica ]; then
    if is_empty "$PGDATA"; then : >"$PGSET_RUN/cloning"; else write_end; fi
    # A clone that was just made needs no comparison.
    if [ -e "$PGSET_RUN/cloned" ]; then
      : >"$PGSET_RUN/follows"
      : >"$PGSET_RUN/compared"
      rm "$PGSET_RUN/cloned"
    fi
  fi
  write_conf || true
}
# Waits while no server may start. Returns 1 if none will.
#
# `stop` is the fence of `pgset stop` and `pgset down`, which delete the pod soon. If they were killed, the server starts
# again: nothing was promoted meanwhile.
await_permission() {
  local id='' said='' since=$SECONDS written='' now
  while fenced || [ -e "$PGSET_RUN/cloning" ]; do
    [ -z "$stopping" ] && [ ! -e "$PGSET_RUN/failed" ] || return 1
    change_role
    if [ -e "$PGDATA.fence" ]; then
      read -r id _ <"$PGDATA.fence" || true
      # Another `pgset stop` writes it again.
      now=$(stat -c %Y "$PGDATA.fence" 2>/dev/null) || true
      [ "$now" = "$written" ] || since=$SECONDS written=$now
    elif fenced; then
      read -r id _ <"$PGSET_RUN/fence" || true
    fi
    [ "$id" != replaced ] || ! follow_successor || continue
    if [ "$id" = stop ] && [ $((SECONDS - since)) -ge "$PGSET_STOP_WAIT" ]; then
      remove_fence "the pod was not deleted within $PGSET_STOP_WAIT s after the stop"
    elif [ -n "$id" ] && [ -z "$said" ]; then
      log "no server starts on $PGDATA: it is fenced ($id)"
      said=1
    fi
    sleep 0.2
  done
  [ -z "$stopping" ]
}
start_helpers() {
  put "$PGSET_RUN/acts-as" "$pod_role $master_pod $epoch" # `signal_until_taken`
  if [ "$(role)" != master ]; then
    beside_server follow
    beside_server watch_tablespaces
    return
  fi
  beside_server watch_peers
  [ ! -e "$PGSET_RUN/promote" ] || beside_server promote_when_up
}
# Takes the role that is written now. The helper that keeps the owner file continues.
change_role() {
  local before=("${helpers[@]:1}") known="$pod_role $master_pod $epoch"
  read_run
  [ "$pod_role $master_pod $epoch" != "$known" ] || return 0
  if [ ${#before[@]} -gt 0 ]; then
    kill -TERM "${before[@]}" 2>/dev/null || true
    wait "${before[@]}" 2>/dev/null || true
  fi
  helpers=("${helpers[0]}")
  # A clone that was complete.
  is_empty "$PGDATA" || rm -f "$PGSET_RUN/cloning"
  start_helpers
  reload
}
promote_when_up() {
  local position
  read -r position <"$PGSET_RUN/promote" || true
  until pg_isready -q -h "$PGSET_SOCKETS"; do sleep 0.2; done
  [ -z "$position" ] || await_record "$position"
  log "the promotion of this pod is completed: timeline $(promote_server)"
}
forward_reload() { [ -z "$child" ] || kill -HUP "$child"; }
run_server() {
  local status
  exec 7>"$PGSET_RUN/start.lock"
  flock 7
  if fenced; then
    exec 7>&-
    return
  fi
  # A reload must not end a server that has no handler for this signal yet: it reads its files afterwards.
  trap '' HUP
  postgres -D "$PGDATA" -c "config_file=$PGSET_ETC/postgresql.conf" -c "hba_file=$PGSET_ETC/pg_hba.conf" 7>&- &
  child=$!
  trap forward_reload HUP
  put "$PGSET_RUN/server" "$child"
  until [ "$(head -n 1 "$PGDATA/postmaster.pid" 2>/dev/null)" = "$child" ] || ! kill -0 "$child" 2>/dev/null; do sleep 0.02; done
  exec 7>&-
  # The signal may have come before there was a server to stop.
  [ -z "$stopping" ] || shut_down "$child"
  # So may the failure of a helper.
  [ ! -e "$PGSET_RUN/failed" ] || stop_server &
  # A signal interrupts `wait`; the status of a child that has ended stays known.
  while
    status=0
    wait "$child" 2>/dev/null || status=$?
    kill -0 "$child" 2>/dev/null
  do change_role; done
  status=0
  wait "$child" 2>/dev/null || status=$?
  child=
  rm -f "$PGSET_RUN/server"
  return "$status"
}
# Runs a function beside the server. Its error ends the server, and the container with this error.
beside_server() { # function
  (
    trap - ERR TERM INT QUIT HUP
    trap 'exit 143' TERM
    trap helper_ends EXIT
    exec 9>&- # only the server may hold the lock
    in_helper=1 child='' helpers=() scratch=$(mktemp -d "$PGSET_RUN/helper.XXXXXX")
    "$1"
  ) &
  helpers+=($!)
}
helper_ends() {
  local status=$?
  clean_up
  case $status in
    0 | 143) return ;;
  esac
  [ -s "$PGSET_RUN/failed" ] || put "$PGSET_RUN/failed" "$status the script failed beside the server (exit code $status)"
  stop_server
}
# A fast shutdown, or an immediate one (QUIT). A server that shuts down rejects connections. One that hangs gives no
# answer, and would hold the pod until the end of its grace period.
shut_down() { # process
  [ -n "$1" ] || return 0
  kill "-$stopping" "$1" 2>/dev/null || return 0
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
    # It may have been no server yet when it got the signal.
    [ "$status" != 0 ] || kill "-${stopping:-INT}" "$1" 2>/dev/null || true
    if [ $((SECONDS - answered)) -ge "$PGSET_SILENCE" ]; then
      log "the server has not answered for $((SECONDS - answered)) s and does not shut down: killing it"
      kill -KILL "$1"
      return
    fi
    sleep 0.2
  done
}
# PostgreSQL recognizes the lock file of an earlier server of its container by the process id. Here that id may belong to
# another process by now. A lock file counts if its process is a server that works in this data directory.
forget_dead_servers() {
  local file
  for file in "$PGDATA/postmaster.pid" "$PGSET_SOCKETS/.s.PGSQL.$PGPORT.lock"; do
    [ ! -s "$file" ] || is_server "$(head -n 1 "$file")" || rm -f "$file"
  done
}
sweep_when_streaming() {
  [ -e "$PGDATA.old" ] || return 0
  until [ "$(local_sql "select status from pg_stat_wal_receiver" 2>/dev/null)" = streaming ]; do
    kill -0 $$ # process 1: stop when it ends
    sleep 1
  done
  sweep_tablespaces
  rm -rf "$PGDATA.old"
  log "$PGDATA is streaming: $PGDATA.old is deleted"
}
keep_the_owner() {
  keep_owner
  # A fast shutdown would write to a directory that has another owner.
  kill -QUIT "$(postmaster)" 2>/dev/null || true
  die $E_LOCKED "another pod has taken over $PGDATA: this one did not renew its file for $PGSET_OWNER_WAIT s"
}

# --- a running master -------------------------------------------------------------------------------------

# A master that was replaced while it could not be reached must stop writing: when a peer knows a later epoch, and is on a
# timeline that descends from this one's; or when the mounted topology, which may be a minute old, has a later epoch
# and another master.
watch_peers() {
  find_resolver
  while attended sleep 5 && kill -0 $$ 2>/dev/null; do
    fenced || (watch_round) || log "the other pods could not be asked"
  done
}
watch_round() {
  local peer list number=0 identifier theirs its_epoch history
  trap - ERR EXIT
  in_helper='' # what fails here is tried again
  its_epoch=$(mounted epoch)
  if is_number "$its_epoch" && [ "$its_epoch" -gt "$epoch" ] && [ -n "$(mounted master)" ] && [ "$(mounted master)" != "$PGSET_POD" ]; then
    replaced "the topology has epoch $its_epoch and names $(mounted master)"
    return
  fi
  list=${PGSET_PEERS:-$(service_peers)}
  rm -f "$scratch"/peer.*
  for peer in $list; do
    number=$((number + 1))
    ask_peer "$peer" >"$scratch/peer.$number" 2>/dev/null &
  done
  wait
  number=0
  for peer in $list; do
    number=$((number + 1)) its_epoch=''
    { IFS='|' read -r identifier theirs _ && read -r its_epoch; } <"$scratch/peer.$number" || true
    is_number "$its_epoch" && [ "$its_epoch" -gt "$epoch" ] || continue
    read_control
    timeline=$(control "Latest checkpoint's TimeLineID")
    [ "$identifier" = "$(control 'Database system identifier')" ] && [ "$theirs" -gt "$timeline" ] || continue
    history=$(history_of "$(peer_conninfo "$peer")" "$theirs") || continue
    [ -n "$(left_at "$history" "$timeline")" ] || continue
    replaced "the pod at $peer knows epoch $its_epoch, and is on timeline $theirs"
    return
  done
}
# A master that was replaced becomes a replica, once the mounted topology tells of whom.
follow_successor() {
  local found
  found=$(named_by_mount $((epoch + 1))) || return 1
  (
    trap - EXIT ERR
    follow_master "${found% *}" "${found#* }"
  ) || return 1
  remove_fence "this pod follows ${found#* }, the master of epoch ${found% *}"
  change_role
}
# Stops the server at once. `follow_successor` or the next bootstrap starts it as a standby. The fence in memory comes first: the volume may be
# full, or hang.
replaced() { # why
  log "another pod has become the master: $1; this server stops"
  put "$PGSET_RUN/fence" "replaced $epoch"
  kill -QUIT "$(postmaster)" 2>/dev/null || true
  write_fence replaced || log "$PGDATA.fence can't be written: only the memory of this pod knows of it"
}

# --- the probes ------------------------------------------------------------------------------------------

ready() {
  local want=t answer master received replayed contact tries=0
  if fenced || [ -e "$PGSET_RUN/cloning" ]; then
    log "not ready: $(if fenced; then echo "$PGDATA is fenced"; else echo "cloning from the master"; fi)"
    return 1
  fi
  [ "$(role)" = replica ] || want=f
  # A replica is mostly compared within a second. The next probe would come two seconds later.
  until [ "$want" = f ] || [ -e "$PGSET_RUN/compared" ] || [ "$tries" = 15 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
  answer=$(local_sql "select pg_is_in_recovery(), pg_wal_lsn_diff(latest_end_lsn, '0/0'), pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0'),
    pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0'), extract(epoch from last_msg_receipt_time)::bigint from (select) one left join pg_stat_wal_receiver on status = 'streaming'" 2>&1) || {
    log "not ready: $answer"
    return 1
  }
  # The last line, because the server may print warnings.
  IFS='|' read -r answer master received replayed contact <<<"${answer##*$'\n'}"
  [ "$answer" = "$want" ] || {
    log "not ready: the server is $([ "$answer" = t ] && echo "a standby" || echo "writable") and pod $PGSET_POD is the $(role)"
    return 1
  }
  if [ "$want" = t ] && [ ! -e "$PGSET_RUN/compared" ]; then
    log "not ready: not compared with the master yet"
    return 1
  fi
  # Tells of a master that was lost when it was there last: `detach`.
  [ -z "$contact" ] || put "$PGSET_RUN/contact" "$contact"
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
# The first startup probe comes while the server starts, and the next one a second later: so it waits a little.
started() {
  local tries=0
  until alive; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || return 1
    sleep 0.05
  done
}
# pg_isready returns 0 if the server accepts connections, 1 if it starts, stops or recovers. Both are alive.
# Without a server because there must be none, the container is alive, too.
alive() {
  local status=0
  ! fenced && [ ! -e "$PGSET_RUN/cloning" ] || return 0
  pg_isready -q -h "$PGSET_SOCKETS" || status=$?
  [ "$status" -le 1 ] || return 1
  # The liveness probe also makes the server use renewed certificates.
  (follow_tls) >/dev/null 2>&1 || true
}
# The checkpoint makes the shutdown short. Then the kubelet sends a signal to process 1, see `serve`.
checkpoint() {
  ! fenced || return 0
  PGCONNECT_TIMEOUT=3 PGOPTIONS=$SQL_OPTIONS timeout 300 psql -XAtqw -h "$PGSET_SOCKETS" -U postgres -d postgres -c CHECKPOINT ||
    log "the checkpoint before the shutdown failed"
}
