#!/usr/bin/env bash
# shellcheck disable=SC2154
# Part of bootstrap.sh: the WAL of a data directory. Where it ends, and whether another server has the same.

# --- positions --------------------------------------------------------------------------------------------

# Reads from the directory, while no server writes to it: $timeline, the timeline of its newest WAL; $last_record, the
# position of the last record; $wal_end, up to which its WAL is known to be valid; $segment_size. Needs `read_control`
# for the same directory.
timeline='' last_record='' wal_end='' segment_size=''
survey() { # directory
  local directory=$1 redo minimum of_minimum segment record position length
  segment_size=$(control 'Bytes per WAL segment')
  timeline=$(control "Latest checkpoint's TimeLineID")
  redo=$(lsn_value "$(control "Latest checkpoint's REDO location")")
  minimum=$(lsn_value "$(control 'Minimum recovery ending location')")
  of_minimum=$(control "Min recovery ending loc's timeline")
  # A standby that has followed a new master, and has made no restart point since.
  if [ "$of_minimum" -gt "$timeline" ]; then
    timeline=$of_minimum
    [ -e "$directory/pg_wal/$(wal_file "$redo" "$timeline")" ] || redo=$minimum
  fi
  follow_histories "$directory"
  position=$redo last_record=$redo wal_end=$redo
  # The first record of each segment is enough to find the last segment. Later files are recycled ones with old content.
  while record=$(first_record "$directory" "$position" "$timeline"); do
    read -r last_record _ length <<<"$record"
    last_record=$(lsn_value "$last_record") wal_end=$((last_record + length))
    segment=$((last_record / segment_size))
    position=$(((segment + 1) * segment_size))
  done
  record=$(pg_waldump -p "$directory/pg_wal" -t "$timeline" -s "$(lsn_text "$last_record")" \
    -e "$(lsn_text "$position")" 2>/dev/null | records | awk '!n++ || $2 == last { last = $1; len = $3 } END { if (n) print last, len }') || true
  if [ -n "$record" ]; then
    last_record=$(lsn_value "${record% *}") wal_end=$(($(lsn_value "${record% *}") + ${record#* }))
  fi
  # What the server has relied on, it had flushed before.
  [ "$of_minimum" != "$timeline" ] || [ "$minimum" -le "$wal_end" ] || wal_end=$minimum
}
# A standby that was killed soon after it had followed a new master: only the history and the WAL itself tell of the new
# timeline. Sets `timeline` and `redo` of the caller.
follow_histories() { # directory
  local file newer fork
  for file in "$1"/pg_wal/????????.history; do
    newer=${file##*/}
    [ -e "$file" ] && [ $((16#${newer%.history})) -gt "$timeline" ] || continue
    newer=$((16#${newer%.history}))
    fork=$(left_at "$(<"$file")" "$timeline")
    [ -n "$fork" ] || continue
    fork=$(lsn_value "$fork")
    if [ "$fork" -ge "$redo" ] && first_record "$1" "$fork" "$newer" >/dev/null; then timeline=$newer redo=$fork; fi
  done
}
# Prints the position, the position of the record before, and the length of each record. A record may contain text of a
# user, also line breaks: so a line counts only if it has the whole form, and in a series only if it follows its
# predecessor.
records() {
  sed -n 's/^rmgr: [A-Za-z0-9_]* *len (rec\/tot): *[0-9]*\/ *\([0-9]*\), tx: *[0-9]*, lsn: \([0-9A-F]*\/[0-9A-F]*\), prev \([0-9A-F]*\/[0-9A-F]*\), desc.*/\2 \3 \1/p'
}
has_wal_after() { # position: whether $PGDATA has a complete record at or after it
  first_record "$PGDATA" "$1" "$timeline" >/dev/null
}
# pg_waldump waits 5 s for a missing file, so check first that it exists.
first_record() { # directory, position, timeline: prints the first record at or after it, as `records` does
  [ -e "$1/pg_wal/$(wal_file "$2" "$3")" ] &&
    pg_waldump -p "$1/pg_wal" -t "$3" -s "$(lsn_text "$2")" -n 1 2>/dev/null | records | head -n 1 | grep .
}
wal_file() { # position, timeline: the name of the segment that holds it
  local segments
  segments=$((0x100000000 / segment_size))
  printf '%08X%08X%08X' "$2" $(($1 / segment_size / segments)) $(($1 / segment_size % segments))
}
ends_with_switch() { # segment of $PGDATA
  pg_waldump -p "$PGDATA/pg_wal" -t "$timeline" -s "$(lsn_text $(($1 * segment_size)))" \
    -e "$(lsn_text $((($1 + 1) * segment_size)))" 2>/dev/null | tail -n 1 | grep -q '^rmgr: XLOG .* desc: SWITCH'
}
# A history has one line per ancestor of a timeline: its number, the position where it was left, the reason.
left_at() { # history, timeline: prints the position where it was left; nothing if it is no ancestor
  sed -n "s/^\(.*|\)\{0,1\}$2[[:space:]]\{1,\}\([0-9A-F]*\/[0-9A-F]*\).*/\2/p" <<<"$1" | head -n 1
}

# --- the WAL of another server ----------------------------------------------------------------------------

# Compares the segment before a position byte by byte with the WAL of another server or directory. WAL that differs
# somewhere differs in each later segment. Returns 0: the same; 1: bytes are missing here, or differ; 2: it can't be read.
# Checkpoints tell less: after a crash those of a master are far behind its replicas, and a standby may hold a part of a
# record.
same_wal() { # position, a directory or how to connect
  local position=$1 source=$2 start file
  start=$(((position - 1) / segment_size * segment_size))
  file=$(wal_file "$start" "$timeline")
  if [ ! -e "$PGDATA/pg_wal/$file" ]; then
    # WAL from before the redo position is not needed here and was deleted: the other server is behind.
    [ $((start + segment_size)) -le "$(lsn_value "$(control "Latest checkpoint's REDO location")")" ]
    return
  fi
  if [ -d "$source" ]; then
    same_bytes $((position - start)) "$source/pg_wal/$file"
    return
  fi
  stream_and_compare "$start" "$position" -d "$source"
}
same_bytes() { # count, file of another server: compares it with the file of this directory
  local name=${2##*/}
  cmp -s -n "$1" "$2" "$PGDATA/pg_wal/${name%.partial}"
}
# Streams from the start of a segment up to a position in it, and compares as `same_wal` does. If that position is the
# start, it only streams the first bytes. The reason of a failure is in $scratch/output.
stream_and_compare() { # start, position, options of pg_receivewal
  local start=$1 position=$2 directory file status=0
  shift 2
  directory=$(mktemp -d "$PGSET_TMP/pgset-wal.XXXXXX") file=$(wal_file "$start" "$timeline")
  # pg_receivewal continues with a partial file that exists. This one makes it start at the wanted segment. It stops
  # once it has received more than `endpos`.
  : >"$directory/$file.partial"
  attended timeout $((20 + segment_size / 8388608)) pg_receivewal "$@" -w -D "$directory" --no-loop --no-sync \
    --endpos="$(lsn_text $(((position > start ? position : start + 2) - 1)))" || status=2
  if [ "$status" = 0 ] && [ "$position" -gt "$start" ]; then
    same_bytes $((position - start)) "$directory/$file"* || status=$?
  fi
  rm -rf "$directory"
  return "$status"
}
