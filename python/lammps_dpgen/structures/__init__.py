"""Initial structures: prototypes, files, scaling and perturbation. Knows neither controller, labelling nor training."""
