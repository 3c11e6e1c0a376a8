"""Signed webhooks: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "{t}.{raw body}">`, any v1 counts."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from services.checkout.payments.provider import WebhookSignatureRefused

# Both ways: an old webhook may be a replay, one from the future prepares one.
TOLERANCE_S = 300
_HEADER_LENGTH_MAX = 4096
_TIME_LENGTH_MAX = 12


def verify(header: str, raw_body: bytes, secrets: Sequence[str], now: datetime) -> None:
    """Returns when one v1 in the header was made with one of the secrets, and lately.

    Raises WebhookSignatureRefused. Takes the same time whichever byte of a signature is wrong.
    """
    if len(header) > _HEADER_LENGTH_MAX:
        raise WebhookSignatureRefused("the signature's header is too long")
    elements = [element.strip().partition("=") for element in header.split(",")]
    times = [value for name, _, value in elements if name == "t"]
    signatures = [value.encode("utf-8", "surrogateescape") for name, _, value in elements if name == "v1"]
    if len(times) != 1 or not signatures:
        raise WebhookSignatureRefused("there is no signature")
    time = times[0]
    if not (time.isascii() and time.isdigit() and len(time) <= _TIME_LENGTH_MAX):
        raise WebhookSignatureRefused("the signature's time is not a number")
    if not _is_any_right(signatures, time.encode() + b"." + raw_body, secrets):
        raise WebhookSignatureRefused("the signature is wrong")
    if abs(now.timestamp() - int(time)) > TOLERANCE_S:
        raise WebhookSignatureRefused("the signature is of another time")


def _is_any_right(signatures: Sequence[bytes], signed: bytes, secrets: Sequence[str]) -> bool:
    expected = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode() for secret in secrets]
    comparisons = [hmac.compare_digest(given, right) for given in signatures for right in expected]
    return any(comparisons)
