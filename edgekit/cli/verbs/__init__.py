"""The verbs of the command line: one public file each, found by its name. No list to edit."""
