# For bash, to be sourced.
# shellcheck shell=bash

# Runs tests of the integration binary. One that fails among others gets a second try alone: a machine that is
# too busy for servers to come in time says nothing about the program. Both tries are printed; failing twice is
# failing.
with_second_try() { # arguments of the test binary
  local log failed status=0
  log=$(mktemp)
  cargo test --test pgset -- "$@" 2>&1 | tee "$log" || status=$?
  failed=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log" | sort -u)
  rm -f "$log"
  [ "$status" -ne 0 ] || return 0
  [ -n "$failed" ] || return "$status"
  echo "once more, alone: ${failed//$'\n'/ }"
  # shellcheck disable=SC2086  # names of tests hold no spaces
  cargo test --test pgset -- --include-ignored --exact --test-threads=1 $failed
}
