"""How webhooks are signed: the scheme that Stripe made common."""

import hashlib
import hmac

HEADER = "Sandbox-Signature"


def sign(body: bytes, secrets: str, time_s: int) -> str:
    """The header's value for a body sent at `time_s` (Unix seconds), with one v1 for each of `a,b,c` secrets."""
    signed = b"%d.%b" % (time_s, body)
    keys = [secret.strip().encode() for secret in secrets.split(",") if secret.strip()]
    signatures = [f"v1={hmac.new(key, signed, hashlib.sha256).hexdigest()}" for key in keys]
    return ",".join([f"t={time_s}", *signatures])
