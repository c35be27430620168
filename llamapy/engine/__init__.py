"""What is done with whole models: quantizing them, and the importance matrices for it."""
