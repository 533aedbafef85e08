#!/usr/bin/env bash
# Runs the bootstrap script's tests with the PostgreSQL of another Debian: its root file system, with postgresql-N and
# openssl, is a tar file. Needs root.
#
#   tests/bootstrap-in.sh FILE.tar [ARGUMENTS]     arguments of the test binary; the default is bootstrap::
#
# The file system and all files of the tests are in memory. Only the processes of this run see them, because the run has
# its own mounts and process ids: when it ends, or is killed, its processes end and nothing is left.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR/..

if [ "${1:-}" != --inside ]; then
  [ $# -gt 0 ] && [ -f "$1" ] || { echo "usage: tests/bootstrap-in.sh FILE.tar [ARGUMENTS]" >&2; exit 2; }
  [ "$(id -u)" = 0 ] || { echo "tests/bootstrap-in.sh: mounting a root file system needs root" >&2; exit 1; }
  tar=$(realpath "$1")
  shift
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  . examples/prerequisites.sh
  forget_settings
  find_cargo
  cargo test --quiet --test pgset --no-run
  trap 'kill -KILL "$run"; exit 130' INT TERM
  # `unshare` ignores signals, and its child is process 1, so only SIGKILL ends them. A shell makes its background
  # processes ignore SIGINT and SIGQUIT, which servers need.
  env --default-signal=INT,QUIT setpriv --pdeathsig=KILL -- unshare --mount --pid --fork --kill-child --mount-proc \
    tests/bootstrap-in.sh --inside "$@" <"$tar" &
  run=$!
  wait "$run"
  exit
fi
shift

. tests/report.sh
umask 022
# Over the machine's own, where PostgreSQL has its shared memory. What the tests mount there has to appear below the root
# file system, too, so both are shared.
mount -t tmpfs -o mode=1777 pgset-tests /dev/shm
mount --make-shared /dev/shm
export PGSET_POSTGRES_ROOT=/dev/shm/root TMPDIR=/dev/shm/tests
mkdir -m 1777 "$TMPDIR"
mkdir "$PGSET_POSTGRES_ROOT"
tar -x -C "$PGSET_POSTGRES_ROOT" --exclude='./dev/*'
exec </dev/null
mount --rbind /proc "$PGSET_POSTGRES_ROOT/proc"
mount --rbind /dev "$PGSET_POSTGRES_ROOT/dev"
if [ -z "${TEST_REPORT:-}" ]; then
  begin_report
  part "the bootstrap script, with $(chroot "$PGSET_POSTGRES_ROOT" sh -c '/usr/lib/postgresql/*/bin/postgres --version')"
fi
[ $# -gt 0 ] || set -- bootstrap::
with_second_try --ignored "$@"
