"""Checkout's API: protobuf messages in, commands and reads, protobuf messages out."""
