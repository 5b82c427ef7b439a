"""Fine-tuning: a Hugging Face folder and the user's own data in, an ordinary folder out."""
