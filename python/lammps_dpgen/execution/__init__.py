"""Where labels and trainings run: worker processes with a clean environment, time limits and retries."""
