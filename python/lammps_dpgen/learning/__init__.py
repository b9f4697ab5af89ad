"""The learning run: molecular dynamics that pauses, labels, trains, swaps its models and goes on."""
