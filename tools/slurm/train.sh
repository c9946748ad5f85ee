#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Called by the job scripts beside it: trains, one process for each task of the job, and puts the job
# back into the queue where the training was stopped before its end.
#
# What can stop it:
#   the time limit     SIGUSR1 comes to this script two minutes before (#SBATCH --signal)
#   preemption         where the partition has a GraceTime, SIGTERM comes to the processes that train;
#                      where it has none, Slurm ends the job and puts it back by itself
#   scontrol requeue, a node that fails: Slurm puts the job back by itself (#SBATCH --requeue)
#   scancel JOB        ends the job for good
# cdm-train answers SIGTERM by a checkpoint after the step that it is at, and goes on from there when
# it is called again.
set -uo pipefail

program=build/release/bin/cdm-train
if (($# < 2)) || [[ $2 == -* || -z ${SLURM_JOB_ID:-} ]]; then
  echo "usage: sbatch tools/slurm/SCRIPT.sbatch CONFIG.yaml RUN [OPTIONS of cdm-train]" >&2
  exit 2
fi
config=$1 run=$2
shift 2

say() { echo "$(date '+%F %T') job $SLURM_JOB_ID: $*" >&2; }

# Whether the training was stopped before its end: the last line of its log says so.
stopped_early() { [[ $(tail -n 1 "$run/log.txt" 2>/dev/null) == *"the same command goes on from there"* ]]; }

slurm_ends_it=
trap 'slurm_ends_it=1' TERM
# Stops the processes that train; this script goes on.
trap 'say "the time is nearly up"; scancel --signal=TERM "$SLURM_JOB_ID"' USR1

say "training on ${SLURM_JOB_NODELIST:-} (restarts: ${SLURM_RESTART_COUNT:-0})"
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}  # srun does not take it over from sbatch by itself
srun --kill-on-bad-exit=1 "$program" "$config" --run-dir "$run" "$@" &
training=$!
while [[ $(jobs -r) ]]; do wait "$training"; done  # a signal interrupts the wait
wait "$training"
code=$?
if ((code == 0)) && [[ ! $slurm_ends_it ]] && stopped_early; then
  say "back into the queue: the training goes on when the job starts again"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
