"""The order of steps and their undoing, as Temporal workflows. Holds no data of its own."""
