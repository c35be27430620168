"""How good a model is: scores, perplexity, divergence from another, choices between answers."""
