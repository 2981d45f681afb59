#!/bin/bash
# A dataset made by a real SLURM array, one task of which is killed and requeued, has the bytes of a single-process run.
#   bash tests/slurm/run.sh [PROGRAM]     default: target/release/mdsd3; takes about a minute
# Starts munged, slurmctld and slurmd on this machine alone and stops them again. Skipped (exit code 77), with the reason,
# where Debian's packages slurm-wlm and munge are missing and can't be installed.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$(realpath "${1:-target/release/mdsd3}")
photos=$(realpath assets/photos)
shards=4

skip() {
  echo "skipped: $1"
  exit 77
}

[ -x "$program" ] || { echo "$program is not built; run cargo build --release first"; exit 1; }
[ "$(id -u)" -eq 0 ] || skip "starting SLURM's daemons needs root"
if ! { command -v slurmctld && command -v slurmd && command -v munged; } >/dev/null; then
  command -v apt-get >/dev/null || skip "SLURM is not installed, and this is no Debian system"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends slurm-wlm munge; } </dev/null >/dev/null 2>&1 ||
    skip "the packages slurm-wlm and munge can't be installed"
fi

work=$(mktemp -d)
pids=()
cleanup() {
  local status=$?
  [ "$status" -eq 0 ] || tail -n 20 "$work"/*.log 2>/dev/null || true
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

# until_true SECONDS COMMAND ...: waits for a command to succeed.
until_true() {
  local limit=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$limit" ] || { echo "gave up waiting for: $*"; return 1; }
    sleep 0.3
  done
}

host=$(hostname -s)
mkdir -p "$work"/{spool,state}
head -c 1024 /dev/urandom >"$work/munge.key"
chmod 600 "$work/munge.key"
# Far from the default ports, in case the machine has a SLURM of its own.
cat >"$work/slurm.conf" <<CONF
ClusterName=mdsd3
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,sched_min_interval=0
ReturnToService=2
KillWait=2
JobRequeue=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$work/slurm.conf

munged --foreground --force --key-file="$work/munge.key" --socket="$work/munge.socket" --pid-file="$work/munge.pid" \
  --log-file="$work/munge.log" --seed-file="$work/munge.seed" 2>/dev/null &
pids+=($!)
until_true 10 test -S "$work/munge.socket"
slurmctld -D -f "$SLURM_CONF" 2>/dev/null &
pids+=($!)
slurmd -D -N "$host" -f "$SLURM_CONF" 2>/dev/null &
pids+=($!)
is_idle() { sinfo --noheader --format=%T | grep -q idle; }
until_true 30 is_idle

cat >"$work/plan.toml" <<PLAN
engine = "physical"
layout = "basicsr"
scenes = ["$photos/*.jpg"]
mixes = [{ rain = 1.0 }, { haze = { uniform = [0.2, 1.0] }, rain = { grid = [0.5, 1.0] } }]
seeds = { first = 0, count = 12 }
size = 256
PLAN
cd "$work"
"$program" sweep plan.toml -o single
"$program" sweep plan.toml -o array --slurm --shards $shards --cores 1 --time 00:30:00
job=$(sbatch --parsable array.sbatch)
echo "submitted $job"

# The second task is killed when it has made a few pairs.
journal=array/.mdsd3/journal-1-of-$shards.jsonl
has_begun() { [ "$(wc -l <"$journal")" -ge 3 ]; }
until_true 60 has_begun
scontrol requeue "${job}_1"
echo "requeued ${job}_1 after $(wc -l <"$journal") of its pairs"

are_done() { [ -z "$(squeue --noheader --jobs="$job" 2>/dev/null)" ]; }
until_true 300 are_done
restarts=$(scontrol show job "${job}_1" | grep -o 'Restarts=[0-9]*')
[ "$restarts" = Restarts=1 ] || { echo "the task was not requeued: $restarts"; exit 1; }
"$program" sweep plan.toml -o array --merge
"$program" sweep --verify array
diff --recursive --brief single array
echo "ok: $(find array -type f | wc -l) files of $shards shards are those of one process"
