"""What `make lint` does: code style, types, protos and manifests."""
