# What quickstart.sh and tests/run.sh need beside git and Rust. For bash, to be sourced.
# shellcheck shell=bash

there() { # patterns: whether there is a file of any of them
  local pattern
  for pattern; do compgen -G "$pattern" >/dev/null && return; done
  return 1
}

# Debian's names for what is not there, of a compiler (ring, the TLS library's cryptography, is partly C) and of
# what the sandbox runs pods with.
missing_compiler() { command -v cc >/dev/null || echo gcc libc6-dev; }
missing_postgresql() {
  there '/usr/lib/postgresql/*/bin/postgres' '/usr/pgsql-*/bin/postgres' /usr/local/pgsql/bin/postgres /usr/bin/postgres || echo postgresql
  there '/usr/lib/*/libnss_wrapper.so' /usr/lib/libnss_wrapper.so /usr/lib64/libnss_wrapper.so || echo libnss-wrapper
  command -v openssl >/dev/null || echo openssl
}

# Root installs packages on Debian and its kin; anybody else is told which. Whether they are there then.
install() { # packages
  [ $# -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "${0##*/}: not here: $*. On Debian and Ubuntu: sudo apt-get install $*" >&2
    return 1
  fi
  echo "installing $*"
  # A server of the package's own is neither needed nor wanted.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >/dev/null
}

# rustup puts cargo where a shell that is open already does not look.
find_cargo() {
  command -v cargo >/dev/null && return
  PATH=$HOME/.cargo/bin:$PATH
  command -v cargo >/dev/null && return
  echo "${0##*/}: no cargo: install Rust from https://rustup.rs" >&2
  return 1
}

# The caller's settings are not those of what is run here.
forget_settings() {
  local variable
  for variable in $(compgen -e | grep -E '^(PGSET_|CCP_|PG_|BUILDBASE$|LOCAL_IP$)' || true); do
    case $variable in PGSET_E2E* | PGSET_POSTGRES | PGSET_UPDATE) ;; *) unset "$variable" ;; esac
  done
}
