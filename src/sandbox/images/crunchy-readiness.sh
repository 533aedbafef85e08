#!/usr/bin/env bash
# Ready: a query over the local socket succeeds.
exec psql -h "$PGSET_SANDBOX_ROOT/tmp" -U postgres -d postgres -Atqc 'select 1' >/dev/null
