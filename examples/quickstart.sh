#!/usr/bin/env bash
# Shows pgset on a machine without Kubernetes: installs what is missing, builds pgset, and runs up, test,
# scale, test, status and down in a sandbox with this machine's PostgreSQL. Only the build and the installed
# packages remain.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. examples/prerequisites.sh

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n== %s\n' "$*"; }

story() { # program
  local command
  for command in up test 'scale --replicas 3' test status 'down --yes'; do
    say "pgset $command"
    # shellcheck disable=SC2086  # a command and its flags
    "$1" $command
  done
}
if [ "${1:-}" = --story ]; then
  story "$2"
  exit
fi
if [ $# -gt 0 ]; then
  echo "quickstart.sh takes no arguments; for the commands: pgset --help" >&2
  exit 2
fi

forget_settings
find_cargo
# shellcheck disable=SC2046  # one name to a word
install $(missing_compiler) $(missing_postgresql)
say "cargo build"
cargo build --locked
pgset=${CARGO_TARGET_DIR:-target}/debug/pgset

say "a sandbox: an API server, controllers and a node, in one process"
"$pgset" sandbox run -- bash examples/quickstart.sh --story "$pgset"
say "done: the set and the sandbox are deleted"
echo "look around in one:  $pgset sandbox run -- bash"
echo "on your cluster:     $pgset up"
