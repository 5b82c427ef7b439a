"""Real small things that tests work on."""
