#!/usr/bin/env bash
# Runs the tests: unit tests, documentation tests, the integration tests without requirements, then pgset as a
# whole in the sandbox with real PostgreSQL. Needs Rust (rustup.rs), a C compiler, PostgreSQL and
# libnss-wrapper; on Debian it installs the missing packages if it runs as root. Arguments are passed to the
# test binary.
#
#   PGSET_POSTGRES=1                   also run the tests of the bootstrap script (some minutes)
#   PGSET_E2E=sandbox                  also run the end-to-end scenarios, in sandboxes
#   PGSET_E2E=1 KUBECONFIG=FILE        also run the end-to-end scenarios, on that cluster
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. examples/prerequisites.sh
. tests/report.sh

# The caller's environment must not influence the tests.
forget_settings
find_cargo
# shellcheck disable=SC2046  # one name to a word
install $(missing_compiler) $(missing_postgresql) || {
  echo "tests/run.sh: for what needs no PostgreSQL: cargo test" >&2
  exit 1
}
begin_report

part "units"
cargo test --lib --bins -- "$@"
cargo test --doc --quiet
# Most of these tests mainly wait: four at once take little more than half of the time of two.
part "what needs nothing"
with_second_try --test-threads=4 "$@"
part "the sandbox's tests"
with_second_try --ignored --test-threads=4 "$@" sandbox:: transcripts::
if [ "${PGSET_POSTGRES:-}" = 1 ]; then
  part "the bootstrap script"
  with_second_try --ignored "$@" bootstrap::
fi
if [ -n "${PGSET_E2E:-}" ]; then
  part "the end-to-end scenarios"
  # The pods share the machine with the tests: more than four tests at once only slow each other down.
  with_second_try --ignored --test-threads=4 --skip bootstrap:: --skip sandbox:: --skip transcripts:: "$@"
fi
