"""Eager models as contestants, and artifacts as models of lm-eval: scoring that needs torch."""
