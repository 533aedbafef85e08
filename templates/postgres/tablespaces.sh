#!/usr/bin/env bash
# shellcheck disable=SC2154
# Part of bootstrap.sh: the directories of tablespaces. They are outside the data directory, at the same path in each pod.

# --- where a tablespace may be ----------------------------------------------------------------------------

# Whether a path is below the volume, and neither in this pod's data directory nor one of the files beside it.
on_volume() { # path
  case $1/ in
    *//* | */./* | */../* | "$PGDATA"/* | "$PGDATA".*) return 1 ;;
    "${PGDATA%/*}"/?*) ;;
    *) return 1 ;;
  esac
}
# The data directories of other pods are beside this one.
shares_volume() { [ -n "$(neighbours)" ]; }

# --- a volume that pods share -----------------------------------------------------------------------------

# On a shared volume the path of a tablespace is one directory for master and replica, and the replay of a replica would
# write older pages over the master's newer ones. The links of the master's directory show its tablespaces before this
# server replays their creation, and no longer once they are dropped.
#
# This can't prevent what happens between the command on the master and the next check: a running replica replays the
# command at once, and may have written. So the message says that the content may be damaged.
check_shared_tablespaces() { # what else to say
  local source=${PGDATA%/*}/$master_pod link location
  [ -s "$source/global/pg_control" ] || return 0
  for link in "$source"/pg_tblspc/*; do
    # One in the data directory (allow_in_place_tablespaces) is a directory and no link.
    [ -L "$link" ] && location=$(readlink "$link") || continue
    case $location in
      "${PGDATA%/*}"/*)
        die $E_TABLESPACE "the master has a tablespace at $location (OID ${link##*/}), on the volume that this pod shares with it ($source): master and replica would write into one directory${1:-}; drop the tablespace, or use storage with a claim for each pod"
        ;;
    esac
  done
}
# Runs beside the server of a replica.
watch_tablespaces() {
  shares_volume || return 0
  while kill -0 $$ 2>/dev/null; do
    check_shared_tablespaces ", and what it contains may be damaged, because this replica ran"
    sleep 5
  done
}

# --- replay -----------------------------------------------------------------------------------------------

# The replay of CREATE TABLESPACE ends the server of a standby if the directory does not exist. Creates the directories
# that the WAL of this standby needs, on a volume that no other pod uses. Returns 1 if it has created none: then the
# server ended for another reason.
make_locations() {
  local location above status=1
  ! shares_volume || return 1
  # The server starts with this end of its WAL.
  write_end
  write_conf || true
  created_locations >"$scratch/locations"
  while IFS= read -r location; do
    on_volume "$location" && [ ! -e "$location" ] && [ ! -L "$location" ] || continue
    # A link on the way must not lead elsewhere.
    above=${location%/*}
    until [ -e "$above" ]; do above=${above%/*}; done
    case $(real "$above")/ in
      "$(real "${PGDATA%/*}")"/*) ;;
      *) continue ;;
    esac
    if mkdir -p "$location" 2>"$scratch/error"; then
      log "$location is created: the master has created a tablespace there"
      status=0
    else
      log "$location, the directory of a tablespace, can't be created: $(reason "$scratch/error")"
    fi
  done <"$scratch/locations"
  return "$status"
}
real() (cd -P "$1" && pwd) # directory: its path without links
# Prints the locations of the tablespaces that are created in the WAL after the redo position, on each timeline up to that
# of the newest WAL. Needs `survey`.
created_locations() {
  local from number position first
  from=$(control "Latest checkpoint's REDO location") first=$(control "Latest checkpoint's TimeLineID")
  if [ "$first" != "$timeline" ]; then
    while read -r number position _; do
      if ! is_number "$number" || [ "$number" -lt "$first" ]; then continue; fi
      locations_in "$number" "$from" "$position"
      from=$position
    done < <(history_of "$PGDATA" "$timeline")
  fi
  locations_in "$timeline" "$from" "$(lsn_text "$wal_end")"
}
locations_in() { # timeline, start, end
  [ -e "$PGDATA/pg_wal/$(wal_file "$(lsn_value "$2")" "$1")" ] || return 0
  attended pg_waldump -p "$PGDATA/pg_wal" -t "$1" -s "$2" -e "$3" -r Tablespace || true
  sed -n 's/^rmgr: Tablespace [^"]*, desc: CREATE [0-9]* "\(\/.*\)"$/\1/p' "$scratch/output"
}

# --- the clone --------------------------------------------------------------------------------------------

# pg_basebackup writes tablespaces to their own paths, and refuses a directory that is not empty. Two things may be there:
#
#   the tablespace of the previous data directory. It is moved into $PGDATA.old.tablespaces, and is deleted with
#     $PGDATA.old once the new copy streams. If $PGDATA itself was moved away, its tablespace is moved beside and kept.
#   a part of a copy that did not end. It is deleted. pg_basebackup creates $PGDATA.new/pg_wal only after it has found
#     all these directories empty, so what is in them later is a part of its copy. The file $PGDATA.half says so once
#     $PGDATA.new is deleted.
#
# Nothing that PostgreSQL did not create is moved or deleted. Returns 1 if the clone failed for another reason.
clear_location() {
  local location entry name aside pattern='error: directory "(/[^'$'\n'']*)" exists but is not empty'
  [[ $(<"$scratch/output") =~ $pattern ]] || return 1
  location=${BASH_REMATCH[1]}
  on_volume "$location" && ! shares_volume || return 1
  while IFS= read -r entry; do
    [[ $entry =~ ^PG_[0-9.]+_[0-9]+$ ]] ||
      die $E_TABLESPACE "clone: $location is the location of a tablespace of the master, and contains $entry, which is no tablespace: move it away"
  done < <(ls -A "$location")
  name=${location#"${PGDATA%/*}/"}
  aside=$PGDATA.old.tablespaces/${name//\//%}
  [ -e "$PGDATA.old" ] || aside=$(unused "$PGDATA.kept.tablespaces/${name//\//%}")
  if [ -e "$PGDATA.half" ] || [ -e "$aside" ]; then
    log "deleting the tablespace in $location, which is incomplete"
    rm -rf "$location"/PG_*
  else
    { mkdir -p "${aside%/*}" && mv -T "$location" "$aside"; } 2>"$scratch/output" || return 1
    log "the tablespace in $location is moved to $aside$([ -e "$PGDATA.old" ] || echo ": its data directory was moved away; delete it when you no longer need it")"
  fi
}
unused() { # path: prints it, with a number if it exists
  local path=$1 number=1
  while [ -e "$path" ]; do
    number=$((number + 1))
    path=$1.$number
  done
  echo "$path"
}
# Deletes the half copy of a replica.
forget_half() {
  # Without it, on a full volume, the half of a tablespace is moved and not deleted.
  [ ! -d "$PGDATA.new/pg_wal" ] || { : >"$PGDATA.half"; } 2>/dev/null || true
  rm -rf "$PGDATA.new"
}
# Called before a data directory becomes $PGDATA.old: what a person left of an earlier one is not a part of it.
keep_stray_tablespaces() {
  [ ! -e "$PGDATA.old.tablespaces" ] || mv -T "$PGDATA.old.tablespaces" "$(unused "$PGDATA.kept.tablespaces")"
}
# Deletes the tablespaces of $PGDATA.old, also those that the master has dropped meanwhile.
sweep_tablespaces() {
  local link location
  ! shares_volume || return 0
  [ ! -e "$PGDATA.old.tablespaces" ] || rm -rf "$PGDATA.old.tablespaces"
  for link in "$PGDATA.old"/pg_tblspc/*; do
    [ -L "$link" ] && location=$(readlink "$link") || continue
    if on_volume "$location" && [ -d "$location" ] && ! is_location "$location"; then
      rm -rf "$location"/PG_*
      rmdir "$location" 2>/dev/null || true
      log "the tablespace in $location is deleted: the master no longer has it"
    fi
  done
}
is_location() { # directory: whether a tablespace of $PGDATA is there
  local link
  for link in "$PGDATA"/pg_tblspc/*; do
    if [ -L "$link" ] && [ "$(readlink "$link")" = "$1" ]; then return 0; fi
  done
  return 1
}
