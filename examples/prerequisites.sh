# To be sourced by bash: what quickstart.sh and tests/run.sh need in addition to git and Rust.
# shellcheck shell=bash

there() { # patterns: whether a file matches one of them
  local pattern
  for pattern; do compgen -G "$pattern" >/dev/null && return; done
  return 1
}

# Print the Debian packages that are missing: for a C compiler (ring, the cryptography of the TLS library, is
# partly C), and for the programs with which the sandbox runs pods.
missing_compiler() { command -v cc >/dev/null || echo gcc libc6-dev; }
missing_postgresql() {
  there '/usr/lib/postgresql/*/bin/postgres' '/usr/pgsql-*/bin/postgres' /usr/local/pgsql/bin/postgres /usr/bin/postgres || echo postgresql
  there '/usr/lib/*/libnss_wrapper.so' /usr/lib/libnss_wrapper.so /usr/lib64/libnss_wrapper.so || echo libnss-wrapper
  command -v openssl >/dev/null || echo openssl
}

# Installs packages if run by root on a system with apt-get. Otherwise names them and fails.
install() { # packages
  [ $# -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "${0##*/}: not here: $*. On Debian and Ubuntu: sudo apt-get install $*" >&2
    return 1
  fi
  echo "installing $*"
  # Do not let the package create and start a database cluster.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >/dev/null
}

# rustup installs cargo into a directory that is not yet in the PATH of shells that are already open.
find_cargo() {
  command -v cargo >/dev/null && return
  PATH=$HOME/.cargo/bin:$PATH
  command -v cargo >/dev/null && return
  echo "${0##*/}: no cargo: install Rust from https://rustup.rs" >&2
  return 1
}

# Unsets the caller's settings, so that they do not influence the program.
forget_settings() {
  local variable
  for variable in $(compgen -e | grep -E '^(PGSET_|CCP_|PG_|BUILDBASE$|LOCAL_IP$)' || true); do
    case $variable in PGSET_E2E* | PGSET_POSTGRES | PGSET_UPDATE) ;; *) unset "$variable" ;; esac
  done
}
