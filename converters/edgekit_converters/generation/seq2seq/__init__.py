"""Encoder-decoders: the text is read once, the answer is decoded over caches of both attentions."""
