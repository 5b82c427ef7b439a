"""The native runner: built for a machine, and the protocol that every place it runs on speaks."""
