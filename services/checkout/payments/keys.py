"""Requests with an idempotency key that are tried again."""

from datetime import timedelta

# A request that was written down longer ago than this is tried again: its first answer may have got lost. Some
# providers repeat a failed answer under the same key, so that what was made has to be looked for.
FIRST_TRY = timedelta(seconds=1)
# Providers keep idempotency keys for a day; with an older one the same request could take effect twice.
KEY_AGE_MAX = timedelta(hours=20)
