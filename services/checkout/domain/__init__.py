"""Checkout's rules: plain values and pure functions. No database, no clock, no randomness."""
