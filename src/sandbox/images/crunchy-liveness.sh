#!/usr/bin/env bash
# The server is alive if it answers on the local socket.
exec pg_isready -q -h "$PGSET_SANDBOX_ROOT/tmp"
