"""The run folder and its ledger: everything that must survive a kill."""
