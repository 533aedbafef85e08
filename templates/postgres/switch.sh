#!/usr/bin/env bash
# shellcheck disable=SC2154
# Part of bootstrap.sh: what `pgset` runs in the server's container when the master stops, or another pod becomes it.
#
# Each of these can run again after it was killed. A role changes in this order: the file beside the data, which every
# later start reads; $PGSET_RUN/topology and $PGSET_RUN/role, which the probes read; process 1, by a signal.

# --- the old master ---------------------------------------------------------------------------------------

# `pgset stop` and `pgset down` stop the master first: then its replicas have all that it wrote. Prints where the WAL ends.
stop() {
  local position
  fence stop >"$scratch/proof"
  read -r position _ <"$scratch/proof"
  echo "$position"
}
# No server starts on this directory until `unfence`, whatever restarts. Prints the proof that this server writes no more:
# the position of its last record, its timeline, how it ended, its system identifier, and the UID of the pod.
fence() { # transition
  local process state
  need PGSET_POD_UID
  [ -n "${1:-}" ] || die $E_USAGE "fence: the id of the transition is missing"
  check_fence "$1"
  # Process 1 holds this lock while it looks for a fence and starts a server. Afterwards the server is visible here.
  exec 7>"$PGSET_RUN/start.lock"
  flock 7
  # The volume may be full, read-only, or lost. Then this file must do: it outlives a restart of the container.
  write_fence "$1" 2>/dev/null || put "$PGSET_RUN/fence" "$1 $epoch"
  exec 7>&-
  process=$(postmaster) || process=''
  if [ -n "$process" ]; then
    kill -INT "$process" 2>/dev/null || true
    (kill_if_silent "$process")
  fi
  # Nothing is left of the files of a server whose volume was lost while it ran.
  if (read_control) 2>/dev/null; then
    read_control
    state=$(control 'Database cluster state')
    [ "$state" = 'shut down' ] || survey "$PGDATA"
  else
    state=lost timeline=0 last_record=0
    echo 'Database system identifier: 0' >"$scratch/control"
  fi
  case $state in
    lost) ;;
    'shut down')
      last_record=$(lsn_value "$(control 'Latest checkpoint location')") state=clean
      timeline=$(control "Latest checkpoint's TimeLineID")
      ;;
    # Its pod was created again meanwhile, without a master: a standby writes only what a master wrote.
    'shut down in recovery' | 'in archive recovery') state=standby ;;
    *) state=crashed ;;
  esac
  if [ "$1" = stop ] && [ "$state" != clean ]; then
    die $E_UNCLEAN "the server has not stopped cleanly: $(control 'Database cluster state' | grep . || echo "$PGDATA can't be read")"
  fi
  echo "$(lsn_text "$last_record") $timeline $state $(control 'Database system identifier') $PGSET_POD_UID"
}
# A fence of another transition stays.
check_fence() { # transition
  local id=''
  [ -s "$PGDATA.fence" ] || return 0
  read -r id _ <"$PGDATA.fence" || true
  case $id in
    # `replaced` is no transition: the server has stopped because another pod is the master.
    "$1" | stop | replaced) ;;
    *) die $E_FENCED "$PGDATA is fenced by the transition $id, and not by $1" ;;
  esac
}
# With a role: only if this pod still has it. A pod that was created again meanwhile is a replica.
unfence() { # transition, role or none
  [ -n "${1:-}" ] || die $E_USAGE "unfence: the id of the transition is missing"
  check_fence "$1"
  [ -z "${2:-}" ] || [ "$2" = "$(role)" ] || die $E_FENCED "pod $PGSET_POD is the $(role) now: $PGDATA stays fenced"
  ! fenced || remove_fence "the transition $1 is over here"
}

# --- the new roles ----------------------------------------------------------------------------------------

# Makes this standby the master of an epoch, and prints its timeline. Only `pgset` decides that, and has written it to the
# topology before. With the position where the last record of a master begins that has stopped: only with this record.
promote() { # epoch, position or none
  is_number "${1:-}" || die $E_USAGE "promote: the epoch is missing"
  [[ ${2:-0/0} =~ ^[0-9A-F]+/[0-9A-F]+$ ]] || die $E_USAGE "promote: $2 is no position in the WAL"
  check_epoch "$1" "$PGSET_POD"
  # Before the role is taken: a later start completes the promotion of a pod that has it.
  [ -z "${2:-}" ] || await_record "$2"
  take_role "$1" "$PGSET_POD"
  : >"$PGSET_RUN/may-serve"
  promote_server
}
# A server that has just started may still replay what it has.
await_record() { # position
  local replayed='' tries=0
  until replayed=$(local_sql "select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end" 2>/dev/null) &&
    [ -n "$replayed" ] && [ "$(lsn_value "$replayed")" -gt "$(lsn_value "$1")" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] ||
      die $E_PROMOTION "the server was not promoted: it has replayed up to ${replayed:-an unknown position}, and the old master's last record begins at $1"
    sleep 0.1
  done
}
# Also completes a promotion whose pod was created again.
promote_server() {
  local timeline
  PGCONNECT_TIMEOUT=3 PGOPTIONS=$SQL_OPTIONS psql -XAtqw -v ON_ERROR_STOP=1 -h "$PGSET_SOCKETS" -U postgres -d postgres \
    -c "select case when pg_is_in_recovery() then pg_promote(true, 60) end" \
    -c "select case when not pg_is_in_recovery() then ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end" \
    >"$scratch/promotion" 2>"$scratch/output" || die $E_PROMOTION "the server was not promoted: $(reason "$scratch/output")"
  { read -r _ && read -r timeline; } <"$scratch/promotion" || true
  [ -n "$timeline" ] || die $E_PROMOTION "the server was not promoted within 60 s"
  rm -f "$PGSET_RUN/promote"
  echo "$timeline"
}
# Makes this pod a replica of a master. A server that was one before must have been stopped: it starts again as a standby,
# is compared with the new master, and streams.
follow_master() { # epoch, master
  is_number "${1:-}" && [ -n "${2:-}" ] || die $E_USAGE "follow: epoch and master are missing"
  [ "$2" != "$PGSET_POD" ] || die $E_USAGE "follow: $2 is this pod"
  check_epoch "$1" "$2"
  become_standby
  take_role "$1" "$2"
}
become_standby() {
  [ ! -e "$PGDATA/standby.signal" ] && ! is_empty "$PGDATA" || return 0
  ! postmaster >/dev/null || die $E_FENCED "the server of $PGSET_POD runs and is no standby: it has to be fenced first"
  : >"$PGSET_RUN/was-master" # `drop_old_slots`
  make_standby "$PGDATA"
  rm -f "$PGSET_RUN"/{follows,compared,may-serve}
  write_end
}
# Makes this pod a replica of no master. No WAL comes in any more, so that what the replicas have can be compared. Prints
# the position of its last record, its timeline, and when it last heard from the master (seconds since 1970; 0: not known).
detach() { # transition, epoch
  local position=0/0 contact='' tries=0
  [ -n "${1:-}" ] && is_number "${2:-}" || die $E_USAGE "detach: the id of the transition or the epoch is missing"
  read_role_file
  [ "$2" -ge "$known_epoch" ] || die $E_TOPOLOGY "epoch $2 is not the newest: $PGDATA knows epoch $known_epoch, master $known_master"
  check_fence "$1"
  become_standby
  rm -f "$PGSET_RUN/follows"
  take_role "$2" none
  ! fenced || remove_fence "this pod may become the master (transition $1)"
  reload
  # An answer that fails: the server starts, and has no master.
  while [ "$(local_sql 'select count(*) from pg_stat_wal_receiver' 2>/dev/null || echo 0)" != 0 ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || die $E_PROMOTION "the server still receives WAL after 10 s"
    sleep 0.1
  done
  timeline=0
  if ! is_empty "$PGDATA" && [ ! -e "$PGSET_RUN/cloning" ]; then
    write_end
    position=$(lsn_text "$last_record")
  fi
  read -r contact _ <"$PGSET_RUN/contact" 2>/dev/null || true
  echo "$position $timeline ${contact:-0}"
}
# What this pod knows never becomes older.
check_epoch() { # epoch, master
  read_role_file
  if [ "$1" -lt "$known_epoch" ] || { [ "$1" = "$known_epoch" ] && [ "$2" != "$known_master" ]; }; then
    die $E_TOPOLOGY "epoch $1 has the master $2, and $PGDATA knows epoch $known_epoch, master $known_master"
  fi
}
take_role() { # epoch, master
  epoch=$1 master_pod=$2
  rm -f "$PGDATA.stopped"
  # A replica writes it once it was compared: `follow`.
  if [ "$PGSET_POD" = "$master_pod" ]; then
    read_control
    write_role_file "$(control 'Database system identifier')" "$epoch" "$master_pod"
  fi
  write_role
  kill -USR1 "$(<"$PGSET_RUN/process-1")"
  signal_until_taken </dev/null >/dev/null 2>&1 &
}
# A shell loses a signal that comes between two commands, when it has read the role and is about to wait.
signal_until_taken() {
  local tries
  trap - ERR EXIT TERM INT
  exec 9>&- # this process may outlive the server and must not hold the lock
  for ((tries = 0; tries < 40; tries++)); do
    sleep 0.5
    [ "$(cat "$PGSET_RUN/acts-as")" != "$pod_role $master_pod $epoch" ] || return 0
    kill -USR1 "$(<"$PGSET_RUN/process-1")" || return 0
  done
}
