#!/usr/bin/env bash
# shellcheck disable=SC2154
# Part of bootstrap.sh: the volume, who owns the data directory on it, and the facts of that directory.

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
  [ "$PGSET_LOCK" = on ] || return 0
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
# Whether every server that could use this volume sees the lock: a local file system is mounted by one node, and the
# lock ends with the process that holds it. On a network some file systems keep locks on each node only.
lock_is_enough() {
  [ "$PGSET_LOCK" = on ] || return 1
  case $(stat -f -c %T "${PGDATA%/*}") in
    ext2/ext3 | xfs | btrfs | tmpfs | overlayfs | zfs | f2fs) ;;
    *) return 1 ;;
  esac
}

# --- the owner --------------------------------------------------------------------------------------------

# The lock may not reach from node to node, and PostgreSQL's own lock file does not reach from container to container. So
# the pod that uses the directory also owns the file $PGDATA.owner.NUMBER: its UID and a counter, which it changes every
# 5 s. A file that has not changed for 20 s, by the clock of the pod that waits, belongs to a dead pod. The next owner
# creates the next number, which only one pod can do. This makes two servers on one directory unlikely; it is no proof.
owner_number=0
own() {
  local started=$SECONDS said=-10 seen='' since=$SECONDS content
  while true; do
    owner_number=$(newest_owner)
    content=''
    if [ "$owner_number" != 0 ] && ! content=$(cat "$PGDATA.owner.$owner_number" 2>/dev/null); then
      sleep 0.2 # deleted meanwhile
      continue
    fi
    [ "${content%% *}" != "$PGSET_POD_UID" ] || return 0
    if [ "$owner_number" != 0 ] && ! lock_is_enough; then
      [ "$content" = "$seen" ] || since=$SECONDS
      seen=$content
      if [ $((SECONDS - since)) -lt "$PGSET_OWNER_WAIT" ]; then
        [ $((SECONDS - started)) -lt "$PGSET_LOCK_WAIT" ] ||
          die $E_LOCKED "the pod with the UID ${content%% *} uses $PGDATA: another server runs on it; stop it first"
        if [ $((SECONDS - said)) -ge 10 ]; then
          log "waiting for the end of the pod with the UID ${content%% *}, which uses $PGDATA, $((SECONDS - started)) s"
          said=$SECONDS
        fi
        sleep 1
        continue
      fi
      log "the pod with the UID ${content%% *} has not renewed $PGDATA.owner.$owner_number for $((SECONDS - since)) s: taking over"
    fi
    ! create_owner $((owner_number + 1)) || return 0
  done
}
# Another pod may be faster. On a full volume the lock alone has to do: a server can make room.
create_owner() { # number
  local new=$PGDATA.owner-$PGSET_POD_UID number
  if ! { owner_line 0 >"$new"; } 2>"$scratch/error"; then
    rm -f "$new"
    grep -q 'No space left' "$scratch/error" || die $E_VOLUME "$new can't be written: $(reason "$scratch/error")"
    log "the volume at ${PGDATA%/*} is full: $PGDATA.owner.$1 can't be written, only the file lock protects $PGDATA"
    owner_number=0
    return 0
  fi
  # A file system without hard links can create a file exclusively, but the content follows.
  ln "$new" "$PGDATA.owner.$1" 2>/dev/null || (set -o noclobber && owner_line 0 >"$PGDATA.owner.$1") 2>/dev/null || {
    rm -f "$new"
    return 1
  }
  rm -f "$new"
  owner_number=$1
  for number in "$PGDATA".owner.*; do
    [ "${number##*.}" -ge "$owner_number" ] || rm -f "$number"
  done
}
owner_line() { printf '%s %012d\n' "$PGSET_POD_UID" "$1"; } # counter
newest_owner() {
  local file newest=0
  for file in "$PGDATA".owner.*; do
    is_number "${file##*.}" && [ "${file##*.}" -gt "$newest" ] && newest=${file##*.}
  done
  echo "$newest"
}
# Runs beside the server, or beside the bootstrap. Returns when another pod has taken over.
keep_owner() {
  local counter=0
  while [ "$owner_number" != 0 ] && sleep 5 && kill -0 $$ 2>/dev/null; do
    [ "$(newest_owner)" -le "$owner_number" ] || return 0
    counter=$((counter + 1))
    # In place: the same length needs no room on a full volume.
    { owner_line "$counter" 1<>"$PGDATA.owner.$owner_number"; } 2>/dev/null || true
  done
  # There is no file to keep, or the script has ended.
  exit 0
}
disown_directory() {
  [ "$owner_number" = 0 ] || rm -f "$PGDATA.owner.$owner_number"
  owner_number=0
}

# --- the fence --------------------------------------------------------------------------------------------

# While the file $PGDATA.fence exists, no server starts on this directory, whatever restarts. It contains the id of the
# transition that wrote it. `stop` is not recorded as a transition: see `await_permission`.
fenced() { [ -e "$PGSET_RUN/fence" ] || [ -e "$PGDATA.fence" ]; }
write_fence() { put_durably "$PGDATA.fence" "$1 $epoch"; } # id
remove_fence() { # why
  log "$PGDATA.fence is deleted: $1"
  rm -f "$PGDATA.fence" "$PGSET_RUN/fence"
}
# The bootstrap knows whether the transition is over, if it has read the topology through the API.
forget_fence() {
  local id
  # The fence in memory is of an earlier bootstrap, which knew less.
  rm -f "$PGSET_RUN/fence"
  fenced || return 0
  read -r id _ <"$PGDATA.fence" || true
  if [ -z "$is_current" ]; then
    log "$PGDATA.fence stays (transition $id): the topology was not read through the API"
  elif [ -n "$id" ] && [ "$id" = "${transition%% *}" ]; then
    log "$PGDATA.fence stays: the transition $id is not over"
  else
    remove_fence "the topology has no transition $id"
  fi
}

# --- directories ------------------------------------------------------------------------------------------

is_empty() { [ ! -e "$1" ] || [ -z "$(ls -A "$1")" ]; }
sync_entry() { sync "${1%/*}" 2>/dev/null || sync; } # makes a rename in that directory durable
put_in_place() {                                     # renames $PGDATA.new to $PGDATA atomically
  rm -f "$PGDATA.diverged"
  mv -T "$PGDATA.new" "$PGDATA"
  sync_entry "$PGDATA"
}
# Deletes a directory that was not renamed: the process that created it was killed.
clear_half() {
  [ ! -e "$PGDATA.new" ] || log "deleting $PGDATA.new, which is incomplete"
  if [ "$(role)" = replica ]; then forget_half; else rm -rf "$PGDATA.new"; fi
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
    die $E_DIRECTORY "$PGDATA/global/pg_control can't be read: $(reason "$scratch/error"); $(instead)"
}
# What to do with a directory that can't be used.
instead() {
  if [ "$(role)" = master ]; then
    echo "where a replica has the data, make it the master: $(pgset_command failover)"
  else
    echo "to keep it under another name, and to clone the pod: $(pgset_command "rejoin $PGSET_POD")"
  fi
}
image_major() { echo "$(<"$PGSET_RUN/major")"; } # written by `write_run`
# The directory must match the image and the set. A server of another major version would not start, and the
# directory of another set would give clients the wrong data.
check_existing() {
  local major
  [ -s "$PGDATA/PG_VERSION" ] ||
    die $E_DIRECTORY "$PGDATA contains files but no PG_VERSION: it is not a data directory; $(instead)"
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
