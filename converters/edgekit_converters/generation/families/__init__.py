"""What one family needs before it can be captured, by its model_type; most need no file."""
