#!/usr/bin/env bash
# Runs in each pod of a PostgreSQL replica set: prepares the data directory and starts the server.
#
#   bootstrap.sh              init container: label the pod; make, check or clone the data directory
#   bootstrap.sh serve        main container: take the lock on the volume, start the server, and wait for its end
#   bootstrap.sh ready        readiness probe: the server does what the pod's role says
#   bootstrap.sh started      startup probe: the same as alive, with some patience
#   bootstrap.sh alive        liveness probe: the server answers
#   bootstrap.sh checkpoint   preStop hook: a checkpoint, so that the shutdown is short
#   bootstrap.sh tls          make the running server use the mounted certificates, and print them
#   bootstrap.sh stop         stop the master before its set is stopped, and print where its WAL ends
#   bootstrap.sh fence ID     stop the server for the transition ID, and print the proof that it writes no more
#   bootstrap.sh unfence ID [ROLE]   let the server of the transition ID start again, if the pod still has the role
#   bootstrap.sh promote N [LSN]   make this standby the master of epoch N, and print its timeline; with the position of
#                             an old master's last record: only if it has this record
#   bootstrap.sh follow N POD make this pod a replica of POD, the master of epoch N
#   bootstrap.sh detach ID N  make this pod a replica of no master, in epoch N, and print its last record
#
# shellcheck source-path=SCRIPTDIR
# The files beside this one are its parts: topology.sh, volume.sh, configuration.sh, history.sh, master.sh, replica.sh,
# tablespaces.sh, server.sh, switch.sh. Beside the data directory $PGDATA are the files of its pod: $PGDATA.lock,
# .owner.NUMBER, .role, .fence, .stopped, .diverged (why it can't follow), .rejoined; $PGDATA.new while it is created, $PGDATA.half
# after a clone that did not end; $PGDATA.old and $PGDATA.old.tablespaces until a new clone streams; $PGDATA.diverged-EPOCH,
# a directory that was replaced by `pgset rejoin`, until a person deletes it.
#
# Each kind of error has its own exit code, and its last log line is `bootstrap: error: ...`:
readonly E_USAGE=2         # an unknown subcommand, or a variable is missing
readonly E_OPENSSL=10      # the image has no openssl: the pod can't label itself
readonly E_LABEL=11        # the API server did not accept the label
readonly E_VOLUME=12       # the volume is not writable for this uid
readonly E_LOCKED=13       # another server holds the data directory
readonly E_LOST=14         # the master's volume is empty, although the set has data
readonly E_STRANGER=15     # the data directory belongs to another set (system identifier)
readonly E_VERSION=16      # the data directory is of another major version
readonly E_DIRECTORY=17    # the directory is not a PostgreSQL data directory
readonly E_INITDB=18       # initdb failed
readonly E_ROLES=19        # the roles and the database could not be created
readonly E_PASSWORD=20     # the master refuses the replication role
readonly E_CLONE=21        # the clone failed too often
readonly E_FULL=22         # the volume is full
readonly E_DIVERGED=23     # this replica has WAL that the master never had
readonly E_UNPREPARED=24   # `serve` without a previous bootstrap
readonly E_TLS=25          # TLS is required, and there is no certificate or its key does not match
readonly E_TOPOLOGY=26     # the API server refuses to show the topology, or the topology is not the newest
readonly E_BEHIND=27       # another pod has data that the master's directory lacks
readonly E_TABLESPACE=28   # a tablespace of the master is where this replica can't have its copy
readonly E_FENCED=29       # another transition has fenced the directory, or this one has not
readonly E_UNCLEAN=30      # the server has not stopped cleanly
readonly E_PROMOTION=31    # the server was not promoted

set -Eeuo pipefail
umask 077
export LC_ALL=C

# Every path can be changed, so that the script can run without a container.
: "${PGSET_ETC:=/etc/pgset}"                # postgresql.conf, pg_hba.conf; tls, unless TLS is off
: "${PGSET_RUN:=/run/pgset}"                # in memory, shared: passfile, certificates, bootstrap.conf
: "${PGSET_AUTH:=/etc/pgset-auth}"          # one file per password
: "${PGSET_TLS:=/etc/pgset-tls}"            # ca.crt, tls.crt, tls.key; may be missing
: "${PGSET_TOPOLOGY:=/etc/pgset-topology}"  # the keys of the topology; each may be missing, or a minute old
: "${PGSET_TOKEN:=/var/run/secrets/kubernetes.io/serviceaccount}"
: "${PGSET_SOCKETS:=/var/run/postgresql}"
: "${PGSET_TMP:=/tmp}"
: "${PGSET_TERMINATION_LOG:=/dev/termination-log}"
: "${PGPORT:=5432}"
: "${PGSET_MASTER_PORT:=$PGPORT}"
: "${PGSET_MASTER_ADDRESSES:=}"             # where replicas connect to the master, instead of its names
: "${PGSET_POD_LABEL:=}"                    # the pod's label `name`
: "${PGSET_LISTEN:=}"                       # the addresses to listen on; the default is all, in postgresql.conf
: "${PGSET_LOCALE:=C.UTF-8}"
: "${PGSET_ORIGIN:=initdb}"                 # how the master gets its first data: initdb
: "${PGSET_POD_UID:=$PGSET_POD}"             # the pod's UID
: "${PGSET_LOCK:=on}"                       # off: no file lock, for tests
: "${PGSET_LOCK_WAIT:=120}"                 # seconds to wait for the lock on the data directory, and for its owner
: "${PGSET_OWNER_WAIT:=20}"                 # seconds without a change after which the owner is dead
: "${PGSET_STOP_WAIT:=120}"                 # seconds after which a stopped master that was not deleted starts again
: "${PGSET_LABEL_WAIT:=30}"                 # seconds to retry what the API server refuses
: "${PGSET_TLS_WAIT:=60}"                   # seconds to wait for a certificate
: "${PGSET_PASSWORD_WAIT:=60}"              # seconds to retry a rejected password, which may be rotating
: "${PGSET_BUSY_WAIT:=300}"                 # seconds to wait for a peer that starts or replays, if nothing else forbids
: "${PGSET_MASTER_WAIT:=30}"                # seconds after which a standby is ready without its master
: "${PGSET_PEERS:=}"                        # the other pods, as ADDRESS:PORT; the default is to ask the Service
: "${PGSET_PEER_WAIT:=10}"                  # seconds to ask a peer again that gives no answer
: "${PGSET_SILENCE:=20}"                   # seconds without an answer after which a stopping server is killed
: "${PGSET_MAX_DELAY:=300}"                 # seconds after which received WAL must be replayed
: "${PGSET_CLONE_TRIES:=5}"                 # failures of a clone, not counting those while the master is down
export PGSET_AUTH
# Debian's psql in /usr/bin is a wrapper that is many times slower than psql itself.
server=$(command -v postgres) || server=
[ -z "$server" ] || [[ $PATH == "${server%/*}":* ]] || PATH=${server%/*}:$PATH

# Options of every connection that runs SQL as a superuser: a user's function or operator must never run with these
# rights. They take precedence over the settings of a role and of a database.
readonly SQL_OPTIONS='-c search_path=pg_catalog,pg_temp'

log() { printf 'bootstrap: %s\n' "$*" >&2; }
die() { # code message
  local code=$1
  shift
  # Process 1 reports it as the last line, after the server has stopped.
  if [ -n "$in_helper" ]; then put "$PGSET_RUN/failed" "$code $*"; else log "error: $*"; fi
  exit "$code"
}

in_helper= # whether this shell runs beside the server
scratch=
child=
result= # what the bootstrap did, for the pod's termination message
helpers=() # what runs beside
stopping= # the signal that stops the server, once process 1 was told to stop
clean_up() {
  [ ${#helpers[@]} = 0 ] || kill -TERM "${helpers[@]}" 2>/dev/null || true
  # SIGQUIT stops a server at once. Other programs may ignore it, so send SIGTERM as well.
  [ -z "$child" ] || { kill -QUIT "$child" && kill -TERM "$child"; } 2>/dev/null || true
  [ -z "$scratch" ] || rm -rf "$scratch"
}
stopped() {
  log "stopped by a signal"
  exit 143
}
# Process 1 ignores the signals that it does not handle. Without this trap, a pod that is deleted while it
# waits would run until its grace period ends.
trap stopped TERM INT
trap clean_up EXIT
trap 'log "error: line $LINENO of ${FUNCNAME[0]:-bootstrap.sh} failed"' ERR

# Runs a slow command in the background, because a shell handles signals only between foreground commands.
# Writes the command's output to $scratch/output.
attended() {
  local status=0
  "$@" >"$scratch/output" 2>&1 &
  child=$!
  wait "$child" || status=$?
  child=
  return "$status"
}
# Prints the reason of an error: a program's first error message. Later ones are hints and consequences.
reason() { # file
  {
    grep -m 1 'error:\|ERROR:\|FATAL:\|PANIC:' "$1" || grep '[^[:space:]]' "$1" | tail -n 1 || echo 'it gives no reason'
  } | sed 's/^[a-z_]*: *error: *//; s/^.* failed: //; s/^.*\(ERROR\|FATAL\|PANIC\): *//'
}
disk_is_full() { grep -q 'No space left on device' "$scratch/output"; }

# What to type next.
pgset_command() { # subcommand and arguments
  echo "pgset $1 -n ${PGSET_NAMESPACE:-NAMESPACE}$([ "$PGSET_NAME" = pgset ] || echo " --name $PGSET_NAME")"
}

need() { # variables...
  local variable
  for variable; do
    [ -n "${!variable:-}" ] || die $E_USAGE "the variable $variable is not set"
  done
}

parts=${BASH_SOURCE[0]%/*}
[ "$parts" != "${BASH_SOURCE[0]}" ] || parts=.
# shellcheck source=topology.sh
. "$parts/topology.sh"
# shellcheck source=volume.sh
. "$parts/volume.sh"
# shellcheck source=configuration.sh
. "$parts/configuration.sh"
# shellcheck source=history.sh
. "$parts/history.sh"
# shellcheck source=master.sh
. "$parts/master.sh"
# shellcheck source=replica.sh
. "$parts/replica.sh"
# shellcheck source=tablespaces.sh
. "$parts/tablespaces.sh"
# shellcheck source=server.sh
. "$parts/server.sh"
# shellcheck source=switch.sh
. "$parts/switch.sh"

bootstrap() {
  need PGSET_NAME PGSET_NAMESPACE PGSET_PRIMARY_USER PGSET_USER PGSET_DATABASE PGSET_MASTER_HOST PGSET_REPLICA_HOST
  rm -rf "$PGSET_RUN"/{bootstrap.conf,cloned,follows,end,may-serve,promote}
  read_role_file
  read_topology
  log "pod $PGSET_POD is the $(role)"
  check_volume
  label
  lock
  own
  trap 'bootstrap_ends' EXIT
  beside_bootstrap &
  helpers=($!)
  clear_half
  forget_fence
  write_run
  "$(role)"
  # The pod's status shows this to pgset. Written only at the end: until then the message is the log's, which
  # names the error.
  if [ -n "$result" ] && [ -w "$PGSET_TERMINATION_LOG" ]; then echo "$result" >"$PGSET_TERMINATION_LOG"; fi
}

beside_bootstrap() {
  trap - ERR EXIT TERM INT
  exec 9>&- # only the script may hold the lock
  keep_owner
  log "error: another pod has taken over $PGDATA"
  kill -TERM $$
}
# The server's container continues to own the directory.
bootstrap_ends() {
  [ $? = 0 ] || disown_directory
  clean_up
}

main() {
  need PGSET_NAME PGSET_POD PGDATA
  case ${1:-bootstrap} in
    ready | started | alive | checkpoint) "$1" || exit 1 ;;
    bootstrap | serve | tls | stop | fence | unfence | promote | follow | detach)
      scratch=$(mktemp -d "$PGSET_RUN/bootstrap.XXXXXX")
      case ${1:-bootstrap} in
        follow) follow_master "${@:2}" ;;
        *) "${1:-bootstrap}" "${@:2}" ;;
      esac
      ;;
    *) die $E_USAGE "no such subcommand: $1 (serve, ready, started, alive, checkpoint, tls, stop, fence, unfence, promote, follow, detach, or none)" ;;
  esac
}
main "$@"
