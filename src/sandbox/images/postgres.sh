#!/usr/bin/env bash
# A server in a container of its own is process 1, and knows by that number that a lock file is its own. Here
# the number in a lock file that a killed server left may be another process's by now, or that of a zombie for
# which nobody waits: it counts only if its process works in the data directory.
for ((at = 1; at < $#; at++)); do
  [ "${!at}" = -D ] || continue
  next=$((at + 1))
  directory=${!next}
  for lock in "$directory/postmaster.pid" "${PGSET_SOCKETS:-}"/.s.PGSQL.*.lock; do
    [ -e "$lock" ] && [ ! "/proc/$(head -n 1 "$lock")/cwd" -ef "$directory" ] && rm -f "$lock"
  done
done
exec "$PGSET_SANDBOX_POSTGRES/postgres" "$@"
