#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Trains on several nodes of a SLURM cluster, with one process per NUMA node of each:
#
#     sbatch --nodes=4 --ntasks-per-node=2 --cpus-per-task=32 examples/train_slurm.sh \
#         --env Motrix/Go1-v0 --trainer skrl-torch --num-envs 8192
#
# To go on with a run, pass --resume RUN instead. runs/ must be on a file system that all nodes see.
#SBATCH --job-name=motrix
#SBATCH --exclusive
#SBATCH --time=02:00:00
#SBATCH --signal=TERM@120

set -euo pipefail

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000))
# Threads of Torch; those of the physics follow from the cores of a task.
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}

# --kill-on-bad-exit: when one process is lost, SLURM ends the others.
srun --kill-on-bad-exit=1 python -m rl_zoo.train --coordinator "$first:$port" "$@"
