"""Small changes of a model: LoRA adapters, merging them, and control vectors."""
