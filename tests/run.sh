#!/usr/bin/env bash
# Run the tests: units, documentation, and all that needs no cluster; with PGSET_POSTGRES=1 the bootstrap
# script's, which need PostgreSQL's server programs; with PGSET_E2E=1 and KUBECONFIG set, the end-to-end
# suite after them. Needs Rust (rustup.rs) and a C compiler, which it installs on
# Debian when it is root and there is none; arguments go to the test binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v cargo >/dev/null; then
  echo "tests/run.sh: no cargo: install Rust from https://rustup.rs" >&2
  exit 1
fi
# ring, the TLS library's cryptography, is compiled by a C compiler.
if ! command -v cc >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends gcc libc6-dev >/dev/null
  else
    echo "tests/run.sh: no C compiler: install gcc or clang" >&2
    exit 1
  fi
fi

# The environment of whoever calls is not the tests'.
unset BUILDBASE CCP_IMAGE_TAG CCP_IMAGE_PREFIX CCP_NAMESPACE CCP_STORAGE_CLASS CCP_STORAGE_MODE CCP_STORAGE_CAPACITY \
  CCP_STORAGE_PATH CCP_NFS_IP LOCAL_IP PG_ROOT_PASSWORD PG_MASTER_USER PG_MASTER_PASSWORD PG_PRIMARY_USER \
  PG_PRIMARY_PASSWORD PG_USER PG_PASSWORD PG_DATABASE

cargo test -- "$@"
if [ "${PGSET_POSTGRES:-}" = 1 ]; then
  cargo test --test pgset bootstrap:: -- --ignored "$@"
fi
if [ "${PGSET_E2E:-}" = 1 ]; then
  # Pods share the machine with the tests: more than four at once only makes each slower.
  cargo test --test pgset -- --ignored --test-threads=4 --skip bootstrap:: "$@"
fi
