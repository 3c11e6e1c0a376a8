"""Checkout's database: a command loads, is decided and is written in one transaction under its customer's lock."""
