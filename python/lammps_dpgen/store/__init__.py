"""The run folder and its ledger: what a learning run knows, kept so that a kill at any moment loses nothing."""
