#!/usr/bin/env bash
# `postgres` in a container listens on every address; here each pod has one. What the command line says
# comes later, so that it counts.
case ${1:-} in
  --single | --boot | --check | --describe-config | --forkchild | -V | --version | --help | -\? | -C)
    exec "$PGSET_SANDBOX_POSTGRES/postgres" "$@" ;;
esac
exec "$PGSET_SANDBOX_POSTGRES/postgres" -c "listen_addresses=$PGSET_SANDBOX_ADDRESS" \
  -c "unix_socket_directories=$PGSET_SANDBOX_ROOT/var/run/postgresql" "$@"
