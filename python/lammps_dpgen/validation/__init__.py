"""What a potential is worth: properties computed for several potentials side by side and held against references."""
