"""Stateful doubles of the payment providers' HTTP APIs. Each keeps its own journal of what it took and gave back."""
