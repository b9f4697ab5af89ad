#!/bin/bash
#SBATCH --job-name=dpgen
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1       # walkers of a node; leave cores of the first node to labels and trainings
#SBATCH --time=12:00:00
#SBATCH --output=%x-%j.out
# The whole campaign in one job, started by the mpirun of the wheels, which finds the nodes of the job by itself.
# sbatch job-mpirun.sh [campaign.yaml]
campaign=${1:-campaign.yaml}
source "${DPGEN_ENV:-$HOME/my-env}/bin/activate"     # and 'module load' what your labeler needs

# When this job ends, so that the run can end before. From version 23.02 on Slurm says so without this line.
end=$(squeue -h -j "$SLURM_JOB_ID" -o %e) && export SLURM_JOB_END_TIME=$(date -d "$end" +%s)

export SLURM_CPU_BIND=none        # labels and trainings run beside the first rank, on all cores that the job has there
mpirun -n "$SLURM_NTASKS" lammps-dpgen run "$campaign"
code=$?

# 75: there is more to do. The next job begins when the labels that were left in the queue are done, or at once.
if [ "$code" -eq 75 ]; then
  queued=$(sed -n 's/^run_folder: *//p' "$campaign")/execution/labels/queued
  [ -s "$queued" ] && after=--dependency=afterany:$(cat "$queued")
  sbatch $after job-mpirun.sh "$campaign"
fi
exit "$code"
