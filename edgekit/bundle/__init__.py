"""The bundle: a sealed folder that holds a model, its tokenizer, its goldens and its manifest."""
