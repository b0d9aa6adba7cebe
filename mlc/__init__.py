"""Multi-label classification in JAX: label dependence as the variable."""
