"""The `quittance` command: what an operator does by hand, against running services."""
