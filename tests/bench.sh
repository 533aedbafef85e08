#!/usr/bin/env bash
# Measures the promised speed and size on the cluster of KUBECONFIG. Compares the kubectl calls of the old
# script, one `kubectl apply`, and pgset. Prints a Markdown table. Exits with 1 if a promised value is not
# reached. Needs kubectl and the rights to create namespaces and PersistentVolumes.
#
#     KUBECONFIG=... tests/bench.sh [RUNS]      (10 runs; medians)
#
# PGSET_BINARY measures another build. PGSET_BEFORE measures a second one, an older release for example, in
# the same runs; its figures stand beside those of the first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs=${1:-10}
: "${KUBECONFIG:?set KUBECONFIG to a cluster that is yours}"
command -v kubectl >/dev/null || { echo "bench: no kubectl" >&2; exit 2; }
pgset=${PGSET_BINARY:-}
if [ -z "$pgset" ]; then
  cargo build --release --quiet
  pgset=$PWD/target/release/pgset
fi
before=${PGSET_BEFORE:-}
# pgset warns about variables that it does not know.
unset PGSET_BINARY PGSET_BEFORE
work=$(mktemp -d)
run=$(printf '%05d' $((RANDOM % 100000)))
# An image that does not exist on any node, because running pods would disturb the measurement.
export CCP_IMAGE_TAG=centos7-9.6-1.2.9
prefix='' storage=()
HOME=$work; export HOME

finish() {
  kubectl get namespaces -o name | { grep "^namespace/bench-$run-" || true; } | xargs -r kubectl delete --wait=false >/dev/null 2>&1
  kubectl get pv -o name | { grep "^persistentvolume/pvbench$run" || true; } | xargs -r kubectl delete --wait=false >/dev/null 2>&1
  rm -rf "$work"
}
trap finish EXIT

# Runs a command and prints its duration in milliseconds with two decimals. Writes its output to a file.
clock() {
  local from to
  from=${EPOCHREALTIME/[.,]/}
  "$@" >"$work/out" 2>&1 || { echo "bench: failed: $*" >&2; cat "$work/out" >&2; return 1; }
  to=${EPOCHREALTIME/[.,]/}
  awk -v us=$((to - from)) 'BEGIN { printf "%.2f\n", us / 1000 }'
}
median() { sed 1d "$1" | sort -n | awk '{ v[NR] = $1 } END { printf "%.1f", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# Creates a namespace and waits for its default service account. Each run has its own volumes and export, so
# that it need not wait until the previous ones are deleted.
namespace=
fresh() {
  namespace=bench-$run-$1 prefix=pvbench$run-$1- storage=(--storage "nfs://10.240.0.1/nfsfileshare/$1")
  kubectl create namespace "$namespace" >/dev/null
  for _ in $(seq 100); do kubectl -n "$namespace" get serviceaccount default >/dev/null 2>&1 && return; done
  echo "bench: namespace $namespace has no service account" >&2
  return 1
}
gone() {
  kubectl delete namespace "$namespace" --wait=false >/dev/null
  kubectl delete persistentvolume "${prefix}1" "${prefix}2" "${prefix}3" --wait=false >/dev/null
}

# The calls of run.sh and cleanup.sh in the article's example: five deletes, and nine creates with one call
# each.
old_script() {
  kubectl delete --ignore-not-found --wait=false statefulset pgset &&
    kubectl delete --ignore-not-found --wait=false serviceaccount pgset-sa &&
    kubectl delete --ignore-not-found --wait=false persistentvolumeclaim pgset-pvc &&
    kubectl delete --ignore-not-found --wait=false service pgset pgset-master pgset-replica &&
    kubectl delete --ignore-not-found --wait=false persistentvolume "${prefix}1" "${prefix}2" "${prefix}3" || return
  local document
  for document in "$work"/old/*.yaml; do kubectl create -f "$document" || return; done
}

# Writes the nine objects of the article, in its order. It had no Role, RoleBinding and Secret.
article() {
  rm -rf "$work/objects" "$work/old"
  mkdir "$work/old"
  "$pgset" render --show-secrets -n "$namespace" --volume-prefix "$prefix" "${storage[@]}" --output-dir "$work/objects" >/dev/null 2>&1
  local i=0 object
  for object in serviceaccount-pgset-sa service-pgset service-pgset-master service-pgset-replica \
    "persistentvolume-${prefix}1" "persistentvolume-${prefix}2" "persistentvolume-${prefix}3" \
    persistentvolumeclaim-pgset-pvc statefulset-pgset; do
    i=$((i + 1))
    cp "$work"/objects/[0-9]*"-$object.yaml" "$work/old/$i.yaml"
  done
}

# Run 0 fills kubectl's caches and is not counted.
for n in $(seq 0 "$runs"); do
  printf '\rbench: run %d of %d ' "$n" "$runs" >&2
  fresh "old-$n"
  article
  kubectl config view --raw --flatten --minify >"$work/config"
  KUBECONFIG=$work/config kubectl config set-context --current --namespace "$namespace" >/dev/null
  KUBECONFIG=$work/config clock old_script >>"$work/old.ms"
  gone

  fresh "apply-$n"
  "$pgset" render --show-secrets -n "$namespace" --volume-prefix "$prefix" "${storage[@]}" >"$work/all.yaml" 2>"$work/out"
  clock kubectl apply -f "$work/all.yaml" >>"$work/apply.ms"
  gone

  fresh "up-$n"
  clock "$pgset" up --no-wait -n "$namespace" --volume-prefix "$prefix" "${storage[@]}" >>"$work/up.ms"
  clock "$pgset" up --no-wait -n "$namespace" --volume-prefix "$prefix" "${storage[@]}" >>"$work/again.ms"
  if grep -Eq 'created|configured' "$work/out"; then echo "bench: a repeated up wrote something:" >&2; cat "$work/out" >&2; exit 1; fi
  gone

  if [ -n "$before" ]; then
    fresh "before-$n"
    clock "$before" up --no-wait -n "$namespace" --volume-prefix "$prefix" "${storage[@]}" >>"$work/before-up.ms"
    clock "$before" up --no-wait -n "$namespace" --volume-prefix "$prefix" "${storage[@]}" >>"$work/before-again.ms"
    gone
    clock "$before" --version >>"$work/before-version.ms"
  fi

  clock "$pgset" --version >>"$work/version.ms"
done
echo >&2

# Runs a command and prints its peak memory in kB.
peak_memory() {
  local child peak=0 now
  "$@" >"$work/out" 2>&1 &
  child=$!
  while kill -0 "$child" 2>/dev/null; do
    now=$(awk '/^VmHWM/ { print $2 }' "/proc/$child/status" 2>/dev/null || true)
    [ -n "$now" ] && [ "$now" -gt "$peak" ] && peak=$now
    sleep 0.005
  done
  wait "$child" || true
  echo "$peak"
}
megabytes() { awk -v k="$1" 'BEGIN { printf "%.1f", k / 1024 }'; }

# Measures a complete `up` that waits: it watches until it finds that the image can't be pulled.
fresh memory
peak=$(peak_memory "$pgset" up -n "$namespace" --volume-prefix "$prefix" --storage class)

# Measures `status` of a set of 500 pods. No node is fit for them, so that none of them runs.
fresh many
kubectl -n "$namespace" create -f - >/dev/null <<'CLAIM'
{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shared"}, "spec": {
  "storageClassName": "", "accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}}
CLAIM
CCP_IMAGE_TAG='' "$pgset" up --no-wait -n "$namespace" --image postgres:17 --storage claim:shared \
  --node-selector bench=nowhere >"$work/out" 2>&1
kubectl -n "$namespace" scale statefulset pgset --replicas 500 >/dev/null
for _ in $(seq 300); do
  [ "$(kubectl -n "$namespace" get pods --no-headers 2>/dev/null | wc -l)" -lt 500 ] || break
  sleep 1
done
status() { "$1" status -o json -n "$namespace" || [ $? = 1 ]; }
for n in $(seq 0 "$runs"); do
  clock status "$pgset" >>"$work/status.ms"
  [ -z "$before" ] || clock status "$before" >>"$work/before-status.ms"
done
many=$(peak_memory "$pgset" status -o json -n "$namespace")
[ -z "$before" ] || before_many=$(peak_memory "$before" status -o json -n "$namespace")
kubectl -n "$namespace" delete statefulset pgset --cascade=orphan >/dev/null
kubectl -n "$namespace" delete pods --all --wait=false >/dev/null

old=$(median "$work/old.ms") apply=$(median "$work/apply.ms") up=$(median "$work/up.ms")
again=$(median "$work/again.ms") version=$(median "$work/version.ms")
status=$(median "$work/status.ms")
size=$(awk -v b="$(stat -Lc %s "$pgset")" 'BEGIN { printf "%.1f", b / 1000000 }')
kept=0
row() { # what, measured, promise, condition
  local verdict=
  if [ -n "$3" ]; then
    verdict=yes
    awk "BEGIN { exit !($4) }" || { verdict=NO; kept=1; }
  fi
  printf '| %s | %s | %s | %s |\n' "$1" "$2" "$3" "$verdict"
}
# The same of the other build.
was() { [ -z "$before" ] || row "$1, the other build" "$(median "$work/before-$2.ms") ms" "" ""; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", a / b }'; }
echo "Medians of $runs, $(kubectl version -o json 2>/dev/null | awk -F'"' '/gitVersion/ { v = $4 } END { print "Kubernetes " v }'), $(nproc) processors:"
echo
echo '| what | measured | promised | kept |'
echo '| --- | --- | --- | --- |'
row "the old script's kubectl calls (5 deletes, 9 creates)" "$old ms" "" ""
row "one \`kubectl apply -f\` of the same objects" "$apply ms" "" ""
row "\`pgset up --no-wait\`, fresh namespace" "$up ms: $(ratio "$old" "$up") times faster than the script, $(ratio "$apply" "$up") than apply" "20 and 3 times" "$old >= 20 * $up && $apply >= 3 * $up"
was "\`pgset up --no-wait\`, fresh namespace" up
row "the same again, all unchanged, no write" "$again ms" "at most 60 ms" "$again <= 60"
was "the same again" again
row "\`pgset status\` of 500 pods" "$status ms" "at most 1000 ms" "$status <= 1000"
was "\`pgset status\` of 500 pods" status
row "peak memory of that" "$(megabytes "$many") MB" "at most 60 MB" "$many > 0 && $many <= 60 * 1024"
[ -z "$before" ] || row "peak memory of that, the other build" "$(megabytes "$before_many") MB" "" ""
row "\`pgset --version\`" "$version ms" "at most 10 ms" "$version <= 10"
was "\`pgset --version\`" version
row "peak memory of \`pgset up\`" "$(megabytes "$peak") MB" "at most 30 MB" "$peak > 0 && $peak <= 30 * 1024"
row "the binary" "$size MB" "" ""
exit "$kept"
