"""What the surgeon must know of architectures: names of sizes, where heads are. One a file."""
