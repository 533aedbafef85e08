#!/usr/bin/env bash
# Measures how long a set takes until all its replicas stream, on the cluster of KUBECONFIG. Compares pods
# that start in parallel, as with pgset, with pods that start one after the other, as with the article's
# StatefulSet (`OrderedReady`). Otherwise the manifests are the same: image, probes and storage. The storage
# is the article's: one claim that all pods share, which is bound before the measurement starts. Then measures
# `pgset up` with two pods in an empty namespace, with a claim for each pod. Prints a Markdown table. Exits
# with 1 if a promised value is not reached. Needs kubectl, one node, and a default storage class that binds
# immediately. The image should already be on the node, and nothing else should run.
#
#     KUBECONFIG=... tests/bench-order.sh [RUNS [REPLICAS]]   (3 runs, 7 pods; medians; PGSET_BINARY: another build)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs=${1:-3} replicas=${2:-7}
: "${KUBECONFIG:?set KUBECONFIG to a cluster that is yours}"
command -v kubectl >/dev/null || { echo "bench: no kubectl" >&2; exit 2; }
pgset=${PGSET_BINARY:-}
if [ -z "$pgset" ]; then
  cargo build --release --quiet
  pgset=$PWD/target/release/pgset
fi
# pgset warns about variables that it does not know.
unset PGSET_BINARY
work=$(mktemp -d)
HOME=$work; export HOME
run=$(printf '%05d' $((RANDOM % 100000)))
namespaces=()
namespace=

# Waits until the pods are gone, so that they do not disturb the next measurement. Keeps their data until the
# end, because a file system creates files slowly right after it has deleted thousands.
gone() {
  kubectl -n "$namespace" delete statefulset pgset --ignore-not-found >/dev/null
  kubectl -n "$namespace" delete pods --all --grace-period=1 >/dev/null
  # The kubelet cleans up after the pods are gone, and the disk still writes cached data.
  sync
  sleep 10
}
finish() {
  [ ${#namespaces[@]} = 0 ] || kubectl delete namespace "${namespaces[@]}" >/dev/null || true
  rm -rf "$work"
}
trap 'finish' EXIT
fresh() {
  namespace=bench-$run-$1
  namespaces+=("$namespace")
  kubectl create namespace "$namespace" >/dev/null
  # Wait for the objects that pods need; Kubernetes creates them shortly after the namespace.
  local object
  for object in serviceaccount/default configmap/kube-root-ca.crt; do
    for _ in $(seq 200); do kubectl -n "$namespace" get "$object" >/dev/null 2>&1 && break; done
  done
}
now() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); } # milliseconds

# The claim that all pods share, as in the article.
claim() {
  kubectl -n "$namespace" apply -f - >/dev/null <<'YAML'
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: shared}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
YAML
  kubectl -n "$namespace" wait --for=jsonpath='{.status.phase}'=Bound pvc/shared --timeout=60s >/dev/null
}
# The master polls itself in one session, because polling from outside would take CPU time from the pods.
await_streaming() {
  until kubectl -n "$namespace" wait --for=condition=Ready pod/pgset-0 --timeout=300s >/dev/null 2>&1; do
    [ $(($(now) - $1)) -lt 300000 ] || return 1
  done
  kubectl -n "$namespace" exec -i pgset-0 -- psql -h /var/run/postgresql -U postgres -Xq -v ON_ERROR_STOP=1 <<SQL
set statement_timeout = '300s';
do \$\$
begin
  while (select count(*) from pg_stat_replication where state = 'streaming' and application_name like 'pgset-%') < $((replicas - 1)) loop
    perform pg_sleep(0.05), pg_stat_clear_snapshot();
  end loop;
end
\$\$;
SQL
}

in_order() { # policy run: milliseconds from the first object until all replicas stream
  local from
  fresh "$(tr '[:upper:]' '[:lower:]' <<<"$1")-$2"
  claim
  "$pgset" render --show-secrets -n "$namespace" --replicas "$replicas" --storage claim:shared 2>"$work/out" |
    sed "s/podManagementPolicy: .*/podManagementPolicy: $1/" >"$work/set.yaml"
  [ "$(grep -c "podManagementPolicy: $1" "$work/set.yaml")" = 1 ]
  from=$(now)
  # Not `apply`, and no validation: that would take kubectl half a second in which nothing else happens.
  kubectl create --validate=false -f "$work/set.yaml" >/dev/null
  await_streaming "$from" || { echo "bench: $1: no streaming within 300 s" >&2; return 1; }
  echo $(($(now) - from)) >>"$work/$1.ms"
  gone
}
two_pods() { # run
  local from
  fresh "up-$1"
  from=$(now)
  "$pgset" up -n "$namespace" >"$work/out" 2>&1 || { cat "$work/out" >&2; return 1; }
  echo $(($(now) - from)) >>"$work/up.ms"
  gone
}

for n in $(seq "$runs"); do
  for policy in Parallel OrderedReady; do
    printf 'bench: run %d of %d, %s\n' "$n" "$runs" "$policy" >&2
    in_order "$policy" "$n"
  done
  printf 'bench: run %d of %d, up\n' "$n" "$runs" >&2
  two_pods "$n"
done

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.1f", (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2) / 1000 }'; }
every() { awk '{ printf "%s%.1f", (NR > 1 ? ", " : ""), $1 / 1000 }' "$1"; }
together=$(median "$work/Parallel.ms") ordered=$(median "$work/OrderedReady.ms") up=$(median "$work/up.ms")
kept=0
row() { # what, measured, runs, promise, condition
  local verdict=
  if [ -n "$4" ]; then
    verdict=yes
    awk "BEGIN { exit !($5) }" || { verdict=NO; kept=1; }
  fi
  printf '| %s | %s | %s | %s | %s |\n' "$1" "$2" "$3" "$4" "$verdict"
}
echo "Medians of $runs, $(kubectl version -o json 2>/dev/null | awk -F'"' '/gitVersion/ { v = $4 } END { print "Kubernetes " v }'), $(nproc) processors:"
echo
echo '| what | measured | each | promised | kept |'
echo '| --- | --- | --- | --- | --- |'
row "$replicas pods one after the other, until all stream" "$ordered s" "$(every "$work/OrderedReady.ms")" "" ""
row "$replicas pods side by side, until all stream" "$together s: $(awk -v a="$ordered" -v b="$together" 'BEGIN { printf "%.1f", a / b }') times sooner" \
  "$(every "$work/Parallel.ms")" "3 times" "$ordered >= 3 * $together"
row "\`pgset up\`, 2 pods on an empty namespace" "$up s" "$(every "$work/up.ms")" "at most 12 s" "$up <= 12"
exit "$kept"
