# To be sourced by bash: reports at the end of a test run how long each part took, which tests needed a second
# try, and why. A script that is started by another test script adds to the report of that script.
# shellcheck shell=bash

begin_report() {
  [ -z "${TEST_REPORT:-}" ] || return 0
  TEST_REPORT=$(mktemp -d)
  export TEST_REPORT
  date +%s >"$TEST_REPORT/begin"
  trap 'end_report $?' EXIT
}

# Starts a part and ends the previous one.
part() { # name
  local now
  now=$(date +%s)
  end_part "$now"
  printf '%d %s\n' "$now" "$*" >"$TEST_REPORT/current"
  printf '\n== %4d s: %s\n' $((now - $(<"$TEST_REPORT/begin"))) "$*"
}
end_part() { # time
  local since name
  [ -e "$TEST_REPORT/current" ] || return 0
  read -r since name <"$TEST_REPORT/current"
  rm "$TEST_REPORT/current"
  printf '%8d  %s\n' $(($1 - since)) "$name" >>"$TEST_REPORT/parts"
}

# Prints the report last, whatever the exit code is, so that no later output hides it.
end_report() { # exit code
  local now count since name=
  now=$(date +%s)
  [ ! -e "$TEST_REPORT/current" ] || read -r since name <"$TEST_REPORT/current"
  end_part "$now"
  printf '\n seconds  part\n'
  [ ! -e "$TEST_REPORT/parts" ] || cat "$TEST_REPORT/parts"
  printf '%8d  all\n' $((now - $(<"$TEST_REPORT/begin")))
  if [ -e "$TEST_REPORT/second-tries" ]; then
    count=$(grep -c '^[^ ]' "$TEST_REPORT/second-tries")
    printf '\n!!! TESTS THAT NEEDED A SECOND TRY: %d. Each shows a defect of the test or of pgset: fix it.\n\n' "$count"
    cat "$TEST_REPORT/second-tries"
  fi
  [ "$1" -eq 0 ] || printf '\n!!! FAILED, exit code %d%s\n' "$1" "${name:+, in: $name}"
  rm -rf "$TEST_REPORT"
}

# Runs tests of the integration binary. Failed tests get a second try, one at a time: on a busy machine,
# servers may start too late, which is not an error of pgset. The output of both tries is printed. A test that
# fails twice fails the run.
with_second_try() { # arguments of the test binary
  local log failed status=0
  log=$(mktemp)
  cargo test --test pgset -- "$@" 2>&1 | tee "$log" || status=$?
  failed=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log" | sort -u)
  if [ "$status" -ne 0 ] && [ -n "$failed" ]; then
    echo "once more, alone: ${failed//$'\n'/ }"
    status=0
    # shellcheck disable=SC2086  # names of tests hold no spaces
    cargo test --test pgset -- --include-ignored --exact --test-threads=1 $failed || status=$?
    note_second_tries "$status" "$log" "$failed"
  fi
  rm -f "$log"
  return "$status"
}

note_second_tries() { # exit code of the second tries, log of the first, names
  local name since current outcome=passed
  [ "$1" -eq 0 ] || outcome="failed, this test or another one of its part"
  read -r since current <"$TEST_REPORT/current" || true
  for name in $3; do
    printf '%s\n  in: %s\n  second try: %s\n  first try:\n' "$name" "$current" "$outcome"
    first_failure "$name" "$2"
  done >>"$TEST_REPORT/second-tries"
}

# Prints why a test failed: place and message of its first panic, otherwise the last lines of its output.
first_failure() { # test, log of the test binary
  awk -v begin="---- $1 stdout ----" '
    $0 == begin { inside = 1; next }
    inside && (/^---- .* stdout ----$/ || /^failures:$/) { exit }
    !inside || /^[ \t]*$/ { next }
    panicked && /^note: / { exit }
    / panicked at / && !panicked { panicked = 1; lines = 0; sub(/^.* panicked at /, "") }
    { line[++lines] = substr($0, 1, 300) }
    panicked && lines == 12 { exit }
    END {
      if (!lines) print "    its log does not say why"
      for (i = (panicked || lines <= 12 ? 1 : lines - 11); i <= lines; i++) print "    " line[i]
    }
  ' "$2"
}
