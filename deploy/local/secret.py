"""Generated secrets of a local stack: one random file of mode 0600, from which any number of passwords derive."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path


def derived_password(secret_file: Path, label: str) -> str:
    """The password for `label`: the same as long as `secret_file` exists, which is made when missing."""
    return hmac.new(_read_or_make(secret_file), label.encode(), hashlib.sha256).hexdigest()[:32]


def _read_or_make(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        secret = secrets.token_bytes(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
    return secret
