#!/usr/bin/env bash
# The server is ready if a query over the local socket succeeds.
exec psql -h "$PGSET_SANDBOX_ROOT/tmp" -U postgres -d postgres -Atqc 'select 1' >/dev/null
