"""What a person sees while it runs: the terminal view and the journal ``log.jsonl``."""
