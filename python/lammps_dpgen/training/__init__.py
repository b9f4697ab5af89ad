"""Training: an ensemble of models from labelled data. Knows neither controller nor labelling."""
