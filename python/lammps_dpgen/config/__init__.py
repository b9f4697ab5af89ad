"""Configuration files, validated once at the edge (pydantic)."""
