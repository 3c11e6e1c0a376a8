"""The story that `make demo` tells: orders that are placed or undone, on the real stack, with every fact checked."""
