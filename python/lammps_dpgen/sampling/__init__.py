"""What makes trajectories: samplers, and what they need of a walker."""
