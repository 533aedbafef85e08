#!/usr/bin/env bash
# Measures `pgset psql` on a pipe beside `kubectl exec`, in turns, on the cluster of KUBECONFIG: random bytes into a pod
# and out of it. Prints a Markdown table. Exits with 1 if bytes differ, if the median of pgset takes longer than
# promised (1.1 of kubectl's; 1.5 before Kubernetes 1.30), or if it needs more than 40 MB of memory. Needs kubectl,
# /usr/bin/time, the right to create a namespace, and the space for the largest size here and in the pod.
#
#     KUBECONFIG=... tests/pipe.sh [RUNS] [MB...]      (3 runs; 50 and 1000 MB)
#
# PGSET_BINARY measures another build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs=${1:-3}
sizes=("${@:2}")
[ ${#sizes[@]} -gt 0 ] || sizes=(50 1000)
: "${KUBECONFIG:?set KUBECONFIG to a cluster that is yours}"
pgset=${PGSET_BINARY:-}
if [ -z "$pgset" ]; then
  cargo build --release --quiet
  pgset=$PWD/target/release/pgset
fi
# pgset warns about variables that it does not know.
unset PGSET_BINARY
work=$(mktemp -d) namespace=pipe-$(printf '%05d' $((RANDOM % 100000)))
export HOME=$work
finish() {
  kubectl delete namespace "$namespace" --wait=false >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT

kubectl create namespace "$namespace" >/dev/null
"$pgset" up -n "$namespace" --replicas 1 --image postgres:17 --storage class >"$work/up" 2>&1 || { cat "$work/up" >&2; exit 1; }
minor=$(kubectl version 2>/dev/null | sed -n 's/^Server Version.*v1\.\([0-9]*\)\..*/\1/p')
limit=1.1
[ "${minor:-99}" -ge 30 ] || limit=1.5

# Each prints the sum of what the other side received.
sum='sha256sum | cut -d" " -f1'
in_kubectl() { kubectl exec -i -n "$namespace" pgset-0 -c postgres -- psql -U postgres -c "\\! $sum" <"$work/bytes"; }
in_pgset() { /usr/bin/time -o "$work/memory" -f %M "$pgset" psql -n "$namespace" -- -c "\\! $sum" <"$work/bytes" 2>"$work/err"; }
out_kubectl() { kubectl exec -n "$namespace" pgset-0 -c postgres -- psql -U postgres -c '\! cat /tmp/bytes' | sh -c "$sum"; }
out_pgset() { /usr/bin/time -o "$work/memory" -f %M "$pgset" psql -n "$namespace" -- -c '\! cat /tmp/bytes' 2>"$work/err" </dev/null | sh -c "$sum"; }

failed=0
# Runs a command, checks the sum that it prints, and appends its milliseconds to a file.
clock() {
  local from to got
  from=${EPOCHREALTIME/[.,]/}
  got=$("$1") || { echo "pipe: failed: $1" >&2; cat "$work/err" >&2; failed=1; }
  to=${EPOCHREALTIME/[.,]/}
  [ "$got" = "$expected" ] || { echo "pipe: $1: other bytes arrived: $got" >&2; failed=1; }
  echo $(((to - from) / 1000)) >>"$work/$1"
}
median() { sort -n "$work/$1" | awk '{ v[NR] = $1 } END { printf "%d", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

echo "| direction | MB | kubectl | pgset | ratio | memory of pgset |"
echo "| --- | --- | --- | --- | --- | --- |"
for size in "${sizes[@]}"; do
  head -c "$((size * 1000000))" /dev/urandom >"$work/bytes"
  expected=$(sha256sum <"$work/bytes" | cut -d" " -f1)
  kubectl exec -i -n "$namespace" pgset-0 -c postgres -- sh -c 'cat >/tmp/bytes' <"$work/bytes"
  for direction in in out; do
    rm -f "$work/${direction}_"*
    most=0
    for _ in $(seq "$runs"); do
      clock "${direction}_kubectl"
      clock "${direction}_pgset"
      memory=$(tail -n 1 "$work/memory")
      [ "$memory" -le "$most" ] || most=$memory
    done
    kubectl=$(median "${direction}_kubectl") ours=$(median "${direction}_pgset")
    ratio=$(awk -v a="$ours" -v b="$kubectl" 'BEGIN { printf "%.2f", a / b }')
    awk -v ratio="$ratio" -v limit=$limit -v most="$most" 'BEGIN { exit !(ratio <= limit && most <= 40000) }' || failed=1
    echo "| $direction | $size | $kubectl ms | $ours ms | $ratio | $((most / 1000)) MB |"
  done
done
exit $failed
