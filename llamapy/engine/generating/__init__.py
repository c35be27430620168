"""Text that goes on: requests share a model's steps, and become streams, answers and sessions."""
