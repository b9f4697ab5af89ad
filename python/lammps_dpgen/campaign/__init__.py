"""A campaign: many walkers, stages, one growing dataset, one ensemble, until the exploration has converged."""
