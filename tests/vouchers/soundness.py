"""Recomputes all counters and discounts from the redemptions, independently of the service."""

import json
from fractions import Fraction
from math import floor
from typing import Any

# Each statement finds rows that must not exist: one finding per row. Invariants as numbered in the name.
FINDINGS = {
    "V-1 voucher's uses differ from its redemptions": """
        SELECT v.voucher_id, v.uses, count(u.redemption_id)
        FROM vouchers AS v LEFT JOIN counted AS u USING (voucher_id)
        GROUP BY v.voucher_id HAVING v.uses <> count(u.redemption_id)
    """,
    "V-1 campaign's uses differ from its redemptions": """
        SELECT c.campaign_id, c.uses, count(u.redemption_id)
        FROM campaigns AS c LEFT JOIN counted AS u USING (campaign_id)
        GROUP BY c.campaign_id HAVING c.uses <> count(u.redemption_id)
    """,
    "V-1 campaign's uses differ from those of its vouchers": """
        SELECT c.campaign_id, c.uses, sum(v.uses)
        FROM campaigns AS c LEFT JOIN vouchers AS v USING (campaign_id)
        GROUP BY c.campaign_id HAVING c.uses <> coalesce(sum(v.uses), 0)
    """,
    "V-1 voucher used more often than it may be": """
        SELECT v.voucher_id, v.uses_max, count(*) FROM vouchers AS v JOIN counted AS u USING (voucher_id)
        GROUP BY v.voucher_id HAVING count(*) > v.uses_max
    """,
    "V-1 campaign used more often than it may be": """
        SELECT c.campaign_id, c.uses_max, count(*) FROM campaigns AS c JOIN counted AS u USING (campaign_id)
        GROUP BY c.campaign_id HAVING count(*) > c.uses_max
    """,
    "V-1 customer used a campaign more often than he may": """
        SELECT c.campaign_id, u.customer_id, c.uses_per_customer_max, count(*)
        FROM campaigns AS c JOIN counted AS u USING (campaign_id)
        GROUP BY c.campaign_id, u.customer_id HAVING count(*) > c.uses_per_customer_max
    """,
    "V-4 state differs from the way that was taken": """
        SELECT redemption_id, state, kept_at, confirmed_at, rolled_back_at FROM redemptions
        WHERE (rolled_back_at IS NOT NULL) <> (state = 'rolled_back')
            OR (confirmed_at IS NOT NULL) <> (state = 'confirmed')
            OR (kept_at IS NOT NULL) AND state NOT IN ('kept', 'confirmed')
            OR state = 'kept' AND kept_at IS NULL
    """,
    "V-4 redemption changed before it was made, or after its campaign's last time": """
        SELECT r.redemption_id, r.created_at, greatest(kept_at, confirmed_at, rolled_back_at), c.last_at
        FROM redemptions AS r JOIN campaigns AS c USING (campaign_id)
        WHERE r.created_at > least(kept_at, confirmed_at, rolled_back_at)
            OR greatest(r.created_at, kept_at, confirmed_at, rolled_back_at) > c.last_at
    """,
    "V-4 redemption of another campaign's voucher": """
        SELECT r.redemption_id, r.campaign_id, v.campaign_id
        FROM redemptions AS r LEFT JOIN vouchers AS v USING (voucher_id)
        WHERE r.campaign_id IS DISTINCT FROM v.campaign_id
    """,
    "V-4 redemptions of one stack differ in their order": """
        SELECT redemptions_digest, array_agg(redemption_id) FROM redemptions WHERE state <> 'tombstone'
        GROUP BY redemptions_digest
        HAVING count(DISTINCT (order_id, customer_id, currency, lines_digest, created_at, expires_at)) > 1
    """,
}

COUNTED = """
CREATE TEMPORARY VIEW counted AS
    SELECT redemption_id, campaign_id, voucher_id, customer_id FROM redemptions
    WHERE state IN ('reserved', 'kept', 'confirmed')
"""

DISCOUNTS = """
SELECT redemption_id, effect_minor, discount_minor, lines::text AS lines FROM redemptions WHERE effect = 'amount_off'
"""


def expected_shares(amount_minor: int, line_amounts: list[int]) -> list[int]:
    """Largest remainder, worked out with fractions; of equal remainders the earlier line comes first."""
    subtotal = sum(line_amounts)
    discount = min(amount_minor, subtotal)
    exact = [Fraction(discount * line_amount, subtotal or 1) for line_amount in line_amounts]
    shares = [floor(share) for share in exact]
    while sum(shares) < discount:
        shares[max(range(len(shares)), key=lambda index: (exact[index] - shares[index], -index))] += 1
    return shares


def discount_findings(record: Any) -> list[str]:
    """V-5: whether a stored discount is what its stored inputs give."""
    stored = [tuple(line) for line in json.loads(record["lines"])]
    amounts, shares = [amount for _, amount, _ in stored], [share for _, _, share in stored]
    is_right = (
        shares == expected_shares(record["effect_minor"], amounts)
        and sum(shares) == record["discount_minor"]
        and all(0 <= share <= amount for share, amount in zip(shares, amounts, strict=True))
    )
    return [] if is_right else [f"V-5 discount differs from its inputs: {tuple(record)}"]


async def vouchers_findings(connection: Any) -> list[str]:
    """All that is wrong, each finding with its row. `connection` is asyncpg's, of the vouchers' owner or superuser."""
    findings = []
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(COUNTED)
        for name, statement in FINDINGS.items():
            findings += [f"{name}: {tuple(row)}" for row in await connection.fetch(statement)]
        for record in await connection.fetch(DISCOUNTS):
            findings += discount_findings(record)
        await connection.execute("DROP VIEW counted")
    return findings


async def assert_vouchers_sound(connection: Any) -> None:
    """Fails with every finding (invariants V-1, V-4 and V-5 at this instant)."""
    findings = await vouchers_findings(connection)
    assert not findings, "\n".join(findings)
