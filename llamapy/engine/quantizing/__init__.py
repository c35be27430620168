"""Smaller files: which tensor gets which format, the encoding, and the importance of columns."""
