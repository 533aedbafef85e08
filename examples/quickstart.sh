#!/usr/bin/env bash
# pgset's story on a machine without Kubernetes: installs what is missing, builds pgset, and runs up, test,
# scale, test and down in a sandbox, with this machine's PostgreSQL. Nothing is left of it but the build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n== %s\n' "$*"; }

# The caller's settings are not the story's.
for variable in $(compgen -e | grep -E '^(PGSET_|CCP_|PG_|BUILDBASE$|LOCAL_IP$)' || true); do unset "$variable"; done

story() {
  local command
  for command in up test 'scale --replicas 3' test status 'down --yes'; do
    say "pgset $command"
    # shellcheck disable=SC2086  # flags
    "$pgset" $command
  done
}
if [ "${1:-}" = --story ]; then
  pgset=$2
  story
  exit
fi
there() { # patterns: whether there is a file of any
  local pattern
  for pattern; do compgen -G "$pattern" >/dev/null && return; done
  return 1
}
missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
there '/usr/lib/postgresql/*/bin/postgres' '/usr/pgsql-*/bin/postgres' /usr/local/pgsql/bin/postgres || missing+=(postgresql)
there '/usr/lib/*/libnss_wrapper.so' /usr/lib/libnss_wrapper.so /usr/lib64/libnss_wrapper.so || missing+=(libnss-wrapper)
command -v openssl >/dev/null || missing+=(openssl)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing ${missing[*]}"
    apt-get update -q >/dev/null
    # A server of the package's own is neither needed nor wanted: the sandbox starts those of its pods.
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "quickstart: missing: ${missing[*]}; install them, on Debian and Ubuntu: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
fi
if ! command -v cargo >/dev/null; then
  [ -x "$HOME/.cargo/bin/cargo" ] || { echo "quickstart: no cargo: install Rust from https://rustup.rs" >&2; exit 1; }
  PATH=$HOME/.cargo/bin:$PATH
fi

say "cargo build"
cargo build --locked --features sandbox
pgset=${CARGO_TARGET_DIR:-target}/debug/pgset

say "a sandbox: API server, controllers and a node in one process"
"$pgset" sandbox run -- "$0" --story "$pgset"
say "done: that was a master, its replicas and their data, made and taken down. The same on your cluster: $pgset up"
