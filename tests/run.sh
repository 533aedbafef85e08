#!/usr/bin/env bash
# Run the tests: units, documentation, all that needs nothing, then pgset as a whole in the sandbox, with real
# PostgreSQL. Needs Rust (rustup.rs), a C compiler, PostgreSQL and libnss-wrapper, which root installs on
# Debian; arguments go to the test binary.
#
#   PGSET_POSTGRES=1                   the bootstrap script's tests, too: some minutes
#   PGSET_E2E=sandbox                  the end-to-end scenarios, too, in sandboxes
#   PGSET_E2E=1 KUBECONFIG=FILE        the same on that cluster
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. examples/prerequisites.sh
. tests/report.sh

# The environment of whoever calls is not the tests'.
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
part "what needs nothing"
with_second_try "$@"
part "the sandbox's tests"
# Most of the time of most of these is waiting.
with_second_try --ignored --test-threads=4 "$@" sandbox::
if [ "${PGSET_POSTGRES:-}" = 1 ]; then
  part "the bootstrap script"
  with_second_try --ignored "$@" bootstrap::
fi
if [ -n "${PGSET_E2E:-}" ]; then
  part "the end-to-end scenarios"
  # Pods share the machine with the tests: more than four at once only makes each slower.
  with_second_try --ignored --test-threads=4 --skip bootstrap:: --skip sandbox:: "$@"
fi
