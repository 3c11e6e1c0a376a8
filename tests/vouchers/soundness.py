"""Recomputes all counters and discounts from the redemptions, independently of the service."""

import json
from typing import Any

from tests.vouchers.discount_model import expected_discount

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
    "V-1 customer used a campaign more often within a period than he may": """
        SELECT c.campaign_id, u.customer_id, c.uses_per_period_max, u.created_at
        FROM campaigns AS c JOIN counted AS u USING (campaign_id)
        WHERE c.uses_per_period_max < (
            SELECT count(*) FROM counted AS o
            WHERE o.campaign_id = u.campaign_id AND o.customer_id = u.customer_id AND o.created_at <= u.created_at
                AND o.created_at > u.created_at - c.period_days * interval '24 hours')
    """,
    "V-1 campaign's counters differ from its redemptions": """
        SELECT c.campaign_id, s.name, s.stored, count(r.redemption_id)
        FROM campaigns AS c
        CROSS JOIN LATERAL (VALUES ('reserved', c.reserved), ('kept', c.kept), ('confirmed', c.confirmed),
            ('rolled_back', c.rolled_back), ('expired', c.expired), ('restored', c.restored)) AS s (name, stored)
        LEFT JOIN redemptions AS r ON r.campaign_id = c.campaign_id AND r.state = s.name
        GROUP BY c.campaign_id, s.name, s.stored HAVING s.stored <> count(r.redemption_id)
    """,
    "V-1 campaign's spent sum differs from its redemptions": """
        SELECT c.campaign_id, c.spent_minor, sum(u.discount_minor + u.credit_minor)
        FROM campaigns AS c LEFT JOIN counted AS u USING (campaign_id)
        GROUP BY c.campaign_id HAVING c.spent_minor <> coalesce(sum(u.discount_minor + u.credit_minor), 0)
    """,
    "V-1 campaign spent more than its budget": """
        SELECT c.campaign_id, c.budget_minor, sum(u.discount_minor + u.credit_minor)
        FROM campaigns AS c JOIN counted AS u USING (campaign_id)
        GROUP BY c.campaign_id HAVING sum(u.discount_minor + u.credit_minor) > c.budget_minor
    """,
    "V-1 campaign's codes differ from those there are": """
        SELECT c.campaign_id, c.codes, count(v.voucher_id)
        FROM campaigns AS c LEFT JOIN vouchers AS v USING (campaign_id)
        GROUP BY c.campaign_id HAVING c.codes <> count(v.voucher_id)
    """,
    "V-4 state differs from the way that was taken": """
        SELECT redemption_id, state, kept_at, confirmed_at, rolled_back_at, expired_at, restored_at FROM redemptions
        WHERE (rolled_back_at IS NOT NULL) <> (state = 'rolled_back')
            OR (expired_at IS NOT NULL) <> (state = 'expired')
            OR (restored_at IS NOT NULL) <> (state = 'restored')
            OR (restore_cause IS NOT NULL) <> (state = 'restored')
            OR (confirmed_at IS NOT NULL) <> (state IN ('confirmed', 'restored'))
            OR (kept_at IS NOT NULL) AND state NOT IN ('kept', 'confirmed')
            OR state = 'kept' AND kept_at IS NULL
    """,
    "V-4 redemption changed before it was made, or after its campaign's last time": """
        SELECT r.redemption_id, r.created_at, c.last_at, r.kept_at, r.confirmed_at, r.restored_at
        FROM redemptions AS r JOIN campaigns AS c USING (campaign_id)
        WHERE r.created_at > least(kept_at, confirmed_at, rolled_back_at, expired_at, restored_at)
            OR kept_at > confirmed_at OR confirmed_at > restored_at
            OR greatest(r.created_at, kept_at, confirmed_at, rolled_back_at, expired_at, restored_at) > c.last_at
    """,
    "V-5 redemption made with other numbers than its campaign had then": """
        SELECT r.redemption_id, r.campaign_revision, r.effect, r.effect_parameters, r.credit_minor
        FROM redemptions AS r
        LEFT JOIN campaign_revisions AS v ON v.campaign_id = r.campaign_id AND v.revision = r.campaign_revision
        WHERE r.effect IS NOT NULL AND (v.content ->> 'effect', v.content ->> 'currency', true)
            IS DISTINCT FROM (r.effect, r.currency, v.content -> 'effect_parameters'
                @> coalesce(r.effect_parameters, jsonb_build_object('amount_minor', r.credit_minor)))
    """,
    "V-1 campaign differs from its newest revision, or its revisions have a gap": """
        SELECT c.campaign_id, c.revision, c.state, newest.content
        FROM campaigns AS c
        LEFT JOIN campaign_revisions AS newest
            ON newest.campaign_id = c.campaign_id AND newest.revision = c.revision
        WHERE NOT coalesce(to_jsonb(c) @> newest.content, false)
            OR c.revision <> (SELECT count(*) FROM campaign_revisions AS v WHERE v.campaign_id = c.campaign_id)
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
    "V8 batch's codes differ from its vouchers": """
        SELECT b.batch_id, b.state, b.made, count(v.voucher_id)
        FROM code_batches AS b LEFT JOIN vouchers AS v USING (batch_id)
        GROUP BY b.batch_id HAVING b.made <> count(v.voucher_id) OR b.state = 'completed' AND b.made <> b.code_count
    """,
    "V8 voucher of a batch of another campaign": """
        SELECT v.voucher_id, v.batch_id FROM vouchers AS v LEFT JOIN code_batches AS b USING (batch_id)
        WHERE v.batch_id IS NOT NULL AND v.campaign_id IS DISTINCT FROM b.campaign_id
    """,
    "V-4 voucher of no campaign": """
        SELECT v.voucher_id FROM vouchers AS v LEFT JOIN campaigns AS c USING (campaign_id) WHERE c.campaign_id IS NULL
    """,
}

COUNTED = """
CREATE TEMPORARY VIEW counted AS
    SELECT redemption_id, campaign_id, voucher_id, customer_id, created_at, discount_minor, credit_minor
    FROM redemptions WHERE state IN ('reserved', 'kept', 'confirmed')
"""

DISCOUNTS = """
SELECT redemption_id, effect, effect_parameters::text, discount_minor, lines::text FROM redemptions
WHERE effect IS NOT NULL AND effect <> 'credit_grant'
"""


def discount_findings(record: Any) -> list[str]:
    """V-5: whether a stored discount is what its stored inputs give."""
    stored = [tuple(line) for line in json.loads(record["lines"])]
    # A line that was stored before there was more to say of it: one piece, discounted.
    lines = [(amount, *(rest or (1, 1))) for _, amount, _, *rest in stored]
    shares = [share for _, _, share, *_ in stored]
    is_right = (
        shares == expected_discount(record["effect"], json.loads(record["effect_parameters"]), lines)
        and sum(shares) == record["discount_minor"]
        and all(0 <= share <= amount for share, (amount, *_) in zip(shares, lines, strict=True))
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
