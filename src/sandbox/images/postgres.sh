#!/usr/bin/env bash
# A server in a container of its own is process 1, and knows by that number that a lock file is its own. Here
# the number in the lock file of a server that was killed may be any process's by now: it is nobody's if that
# process does not work in the directory.
for ((at = 1; at < $#; at++)); do
  [ "${!at}" = -D ] || continue
  next=$((at + 1))
  directory=${!next}
  if [ -e "$directory/postmaster.pid" ] && pid=$(head -n 1 "$directory/postmaster.pid") &&
    [ -d "/proc/$pid" ] && ! [ "/proc/$pid/cwd" -ef "$directory" ]; then
    rm -f "$directory/postmaster.pid"
  fi
done
exec "$PGSET_SANDBOX_POSTGRES/postgres" "$@"
