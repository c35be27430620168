"""Dialects: a file for each way in which models call tools."""
