"""Labelling: a reference method gives energy, forces and virial of a frame. Knows neither controller nor training."""
