"""A bench is an experiment: settings interleaved in blocks, each block valid or not, and why."""
