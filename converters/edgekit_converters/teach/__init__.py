"""A teacher writes training data: prompts in, rows for ``edgekit tune`` and ``distill`` out."""
