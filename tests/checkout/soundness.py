"""What must hold in checkout's database whatever has happened. Each statement finds the rows that break a rule."""

import asyncpg

BROKEN = {
    "one order on its way per customer": """
        SELECT customer_id FROM orders WHERE state IN ('pending', 'awaiting_payment', 'settling')
        GROUP BY customer_id HAVING count(*) > 1
    """,
    "the parts of a total add up (V6)": """
        SELECT order_id FROM orders
        WHERE subtotal_minor <> discount_minor + credits_minor + amount_due_minor
    """,
    "a total is the sum of its lines": """
        SELECT o.order_id FROM orders AS o JOIN order_lines AS l USING (order_id)
        WHERE o.subtotal_minor IS NOT NULL
        GROUP BY o.order_id HAVING sum(l.amount_minor) <> o.subtotal_minor OR sum(l.discount_minor) <> o.discount_minor
    """,
    "what was charged is what was confirmed (C2)": """
        SELECT order_id FROM orders
        WHERE (subtotal_minor, discount_minor, credits_minor, amount_due_minor) <>
            (expected_subtotal_minor, expected_discount_minor, expected_credits_minor, expected_amount_due_minor)
    """,
    "an order that has ended has no payment that could settle it": """
        SELECT o.order_id FROM orders AS o JOIN payments AS p USING (order_id)
        WHERE o.state IN ('failed', 'expired', 'cancelled') AND p.state = 'paid' AND NOT p.is_late
    """,
    "an order past the pivot is paid (P-2)": """
        SELECT o.order_id FROM orders AS o LEFT JOIN payments AS p USING (order_id)
        WHERE o.state IN ('settling', 'placed') AND o.amount_due_minor > 0
            AND (p.state = 'paid' AND NOT p.is_late AND p.amount_minor = o.amount_due_minor) IS NOT TRUE
    """,
    "a payment asks for what its order leaves to pay (P-3)": """
        SELECT o.order_id FROM orders AS o JOIN payments AS p USING (order_id)
        WHERE p.provider IS NOT NULL
            AND (p.amount_minor, p.currency) IS DISTINCT FROM (o.amount_due_minor, o.currency)
    """,
    "only a tombstone is a payment without an order": """
        SELECT p.order_id FROM payments AS p LEFT JOIN orders AS o USING (order_id)
        WHERE o.order_id IS NULL AND p.provider IS NOT NULL
    """,
    "each moment of an order stands with its state": """
        SELECT order_id FROM orders
        WHERE (state IN ('failed', 'expired', 'cancelled')) <> (ended_at IS NOT NULL)
            OR (ended_at IS NULL) <> (refusal_reason IS NULL)
            OR (state IN ('settling', 'placed')) <> (settling_at IS NOT NULL)
            OR (state = 'placed') <> (placed_at IS NOT NULL)
            OR state = 'awaiting_payment' AND handed_over_at IS NULL
            OR NOT (created_at <= coalesce(handed_over_at, created_at)
                AND coalesce(handed_over_at, created_at) <= coalesce(settling_at, ended_at, updated_at)
                AND coalesce(settling_at, created_at) <= coalesce(placed_at, updated_at))
            OR updated_at <> greatest(
                created_at, updated_at, handed_over_at, settling_at, placed_at, ended_at, undone_at
            )
            OR undone_at < ended_at OR undone_at IS NOT NULL AND ended_at IS NULL
    """,
    "each moment of a payment stands with its state": """
        SELECT payment_id FROM payments
        WHERE (state = 'paid') <> (paid_at IS NOT NULL)
            OR (state = 'paid') <> (provider_payment_id IS NOT NULL)
            OR closed_at < closing_at OR updated_at < created_at
    """,
    "what was handed over has a page": """
        SELECT o.order_id FROM orders AS o LEFT JOIN payments AS p USING (order_id)
        WHERE o.handed_over_at IS NOT NULL AND p.url IS NULL
    """,
    "every payment is a receipt, and every applied receipt pays its order (P-1)": """
        SELECT coalesce(p.order_id, r.order_id), p.is_late, p.amount_minor, r.standing, r.amount_minor
        FROM (SELECT * FROM payments WHERE state = 'paid') AS p
        FULL JOIN (SELECT * FROM receipts WHERE standing = 'applied') AS r USING (provider, provider_payment_id)
        WHERE r.standing IS NULL AND NOT p.is_late OR p.payment_id IS NULL OR r.standing = 'applied' AND p.is_late
            OR r.standing = 'applied' AND (p.order_id, p.amount_minor, p.currency)
                IS DISTINCT FROM (r.order_id, r.amount_minor, r.currency)
    """,
    "late money is an unwanted receipt": """
        SELECT p.order_id FROM payments AS p LEFT JOIN receipts AS r USING (provider, provider_payment_id)
        WHERE p.is_late AND r.standing IS DISTINCT FROM 'unwanted'
    """,
    "refunds of ours never exceed their receipt (P-6)": """
        SELECT r.provider_payment_id FROM receipts AS r JOIN refunds AS f USING (provider, provider_payment_id)
        WHERE f.state <> 'failed' AND f.source = 'ours'
        GROUP BY r.provider, r.provider_payment_id HAVING sum(f.amount_minor) > min(r.amount_minor)
    """,
    "unwanted and foreign money is a finding": """
        SELECT r.provider_payment_id FROM receipts AS r
        LEFT JOIN payment_findings AS f ON f.provider = r.provider AND f.subject = r.provider_payment_id
            AND f.kind = CASE r.standing WHEN 'unwanted' THEN 'UNWANTED_PAYMENT' ELSE 'FOREIGN_PAYMENT' END
        WHERE r.standing <> 'applied' AND f.kind IS NULL
    """,
    "nothing is left half processed (K-4)": """
        SELECT event_id FROM webhook_events WHERE status NOT IN ('completed', 'failed') OR processed_at IS NULL
    """,
}


async def assert_checkout_sound(connection: asyncpg.Connection) -> None:
    """Fails naming each rule that is broken and up to five of its rows. Holds at any instant."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = {
            rule: await connection.fetch(f"SELECT * FROM ({query}) AS f LIMIT 5") for rule, query in BROKEN.items()
        }
    broken = {rule: [tuple(row) for row in rows] for rule, rows in found.items() if rows}
    assert not broken, broken
