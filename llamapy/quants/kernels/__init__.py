"""Compiled copies of the formats' decode and encode, one module of the same name each."""
