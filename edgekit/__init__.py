"""edgekit: a Hugging Face language model into an Android app, proved to give the same answers."""
