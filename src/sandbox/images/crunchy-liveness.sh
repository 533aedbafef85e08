#!/usr/bin/env bash
# Alive: the server answers on the local socket.
exec pg_isready -q -h "$PGSET_SANDBOX_ROOT/tmp"
