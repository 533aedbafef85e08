#!/usr/bin/env bash
# In a container the server is process 1, so it recognizes its own old lock file by that number. Here the
# process id in the lock file of a killed server may belong to another process or to a zombie by now. The
# lock file counts only if that process works in the data directory.
for ((at = 1; at < $#; at++)); do
  [ "${!at}" = -D ] || continue
  next=$((at + 1))
  directory=${!next}
  for lock in "$directory/postmaster.pid" "${PGSET_SOCKETS:-}"/.s.PGSQL.*.lock; do
    [ -e "$lock" ] && [ ! "/proc/$(head -n 1 "$lock")/cwd" -ef "$directory" ] && rm -f "$lock"
  done
done
exec "$PGSET_SANDBOX_POSTGRES/postgres" "$@"
