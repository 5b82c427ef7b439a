"""What every verb that trains shares: the data, the loop, its checkpoints."""
