"""Test a bundle where it will run: its goldens and a labelled file, at one place or at several."""
