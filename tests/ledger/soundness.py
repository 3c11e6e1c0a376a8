"""Recomputes the whole ledger from its transfers, independently of the service, and names what does not fit."""

from typing import Any

from tests.ledger.wallet_soundness import WALLET_FINDINGS

# Each statement finds rows that must not exist: one finding per row. Invariants as numbered in the name.
FINDINGS = {
    "L-1 posted sums of a currency do not add up to zero": """
        SELECT currency, sum(posted_minor) FROM accounts GROUP BY currency HAVING sum(posted_minor) <> 0
    """,
    "L-2 account differs from its transfers": """
        SELECT a.book_id, a.code, a.currency, a.posted_minor, e.posted, a.held_minor, e.held
        FROM accounts AS a
        LEFT JOIN (
            SELECT book_id, account_id, sum(posted) AS posted, sum(held) AS held FROM effects
            GROUP BY book_id, account_id
        ) AS e USING (book_id, account_id)
        WHERE a.posted_minor <> coalesce(e.posted, 0) OR a.held_minor <> coalesce(e.held, 0)
    """,
    "L-2 transfer of an account that is not there": """
        SELECT e.book_id, e.seq, e.account_id FROM effects AS e
        LEFT JOIN accounts AS a USING (book_id, account_id) WHERE a.code IS NULL
    """,
    "L-2 held sum differs from the open holds": """
        SELECT a.book_id, a.code, a.held_minor, coalesce(open.held, 0)
        FROM accounts AS a
        LEFT JOIN (
            SELECT g.book_id, g.account_id, sum(p.held_minor) AS held
            FROM holds AS h JOIN hold_parts AS p USING (book_id, hold_id) JOIN grants AS g USING (book_id, grant_id)
            WHERE h.state = 'held' GROUP BY g.book_id, g.account_id
            UNION ALL
            SELECT book_id, account_id, sum(left_minor) FROM transaction_holds GROUP BY book_id, account_id
        ) AS open USING (book_id, account_id)
        WHERE a.held_minor <> coalesce(open.held, 0)
    """,
    "L-3 stored sum after a transfer differs from the recomputed one": """
        SELECT book_id, seq, account_id, posted_after, recomputed_posted, held_after, recomputed_held FROM (
            SELECT *, sum(posted) OVER history AS recomputed_posted, sum(held) OVER history AS recomputed_held
            FROM effects WINDOW history AS (PARTITION BY book_id, account_id ORDER BY seq)
        ) AS steps
        WHERE posted_after <> recomputed_posted OR held_after <> recomputed_held
    """,
    "L-3 account below its floor after a transfer": """
        SELECT e.book_id, e.seq, a.code, e.posted_after - e.held_after, a.floor_minor
        FROM effects AS e JOIN accounts AS a USING (book_id, account_id)
        WHERE e.posted_after - e.held_after < a.floor_minor OR e.held_after < 0
    """,
    "L-3 sequence has a gap, or the book's time runs backwards": """
        SELECT book_id, seq, previous_seq FROM (
            SELECT book_id, seq, created_at, coalesce(lag(seq) OVER book, 0) AS previous_seq,
                lag(created_at) OVER book AS previous_at
            FROM transfers WINDOW book AS (PARTITION BY book_id ORDER BY seq)
        ) AS steps
        WHERE seq <> previous_seq + 1 OR created_at < previous_at
        UNION ALL
        SELECT b.book_id, b.next_seq, coalesce(max(t.seq), 0) FROM books AS b LEFT JOIN transfers AS t USING (book_id)
        GROUP BY b.book_id HAVING b.next_seq <> coalesce(max(t.seq), 0) + 1
    """,
    "L-4 transfer mixes two currencies": """
        SELECT t.book_id, t.seq, d.currency, c.currency FROM transfers AS t
        JOIN accounts AS d ON d.book_id = t.book_id AND d.account_id = t.debit_account_id
        JOIN accounts AS c ON c.book_id = t.book_id AND c.account_id = t.credit_account_id
        WHERE d.currency <> c.currency
    """,
    "L-4 amount out of bounds": """
        SELECT book_id, seq, amount_minor FROM transfers WHERE amount_minor <= 0
    """,
    "L-5 part of a hold differs from its transfers": """
        SELECT h.book_id, h.hold_id, h.state, p.held_minor, p.captured_minor, m.held, m.captured, m.released
        FROM holds AS h JOIN hold_parts AS p USING (book_id, hold_id) JOIN grants AS g USING (book_id, grant_id)
        LEFT JOIN hold_movements AS m
            ON m.book_id = h.book_id AND m.hold_id = h.hold_id AND m.account_id = g.account_id
        WHERE p.held_minor IS DISTINCT FROM m.held OR p.captured_minor <> m.captured
            OR m.captured + m.released <> CASE h.state WHEN 'held' THEN 0 ELSE p.held_minor END
            OR h.state IN ('released', 'expired') AND m.captured <> 0
    """,
    "L-5 hold, capture or release without a part of a hold": """
        SELECT m.book_id, m.hold_id, m.account_id FROM hold_movements AS m
        LEFT JOIN grants AS g ON g.book_id = m.book_id AND g.account_id = m.account_id
        LEFT JOIN hold_parts AS p
            ON p.book_id = m.book_id AND p.hold_id = m.hold_id AND p.grant_id = g.grant_id
        WHERE p.hold_id IS NULL
    """,
    "L-5 transaction's hold ended twice, or not in full": """
        SELECT book_id, seq, left_minor, ends, captures FROM transaction_holds
        WHERE left_minor <> CASE ends WHEN 0 THEN amount_minor ELSE 0 END OR captures > 1 OR ends > 1 + captures
    """,
    "L-5 transfer ends or takes back what it cannot": """
        SELECT e.book_id, e.seq, e.kind, t.kind FROM transfers AS e
        LEFT JOIN transfers AS t ON t.book_id = e.book_id AND t.seq = e.target_seq
        JOIN commands AS c
            ON c.book_id = e.book_id AND c.command_id = e.transaction_id AND c.kind IN ('transaction', 'expiry')
        WHERE (e.kind IN ('capture', 'release', 'reversal')) <> (e.target_seq IS NOT NULL)
            OR e.kind IN ('capture', 'release') AND (t.kind <> 'hold'
                OR (t.debit_account_id, t.credit_account_id) <> (e.debit_account_id, e.credit_account_id))
            OR e.kind = 'reversal' AND (t.kind NOT IN ('posted', 'capture')
                OR (t.debit_account_id, t.credit_account_id) <> (e.credit_account_id, e.debit_account_id))
    """,
    "L-5 expiry of what is no hold, or ended without its hold, or its hold without it": """
        SELECT x.book_id, x.seq, t.seq, x.ended_at FROM transfer_expiries AS x
        LEFT JOIN transaction_holds AS t USING (book_id, seq)
        WHERE t.seq IS NULL OR (x.ended_at IS NOT NULL) <> (t.ends > 0)
    """,
    "L-5 hold expired before its time, or without one": """
        SELECT e.book_id, e.seq, e.created_at, x.expires_at FROM transfers AS e
        JOIN commands AS c ON c.book_id = e.book_id AND c.command_id = e.transaction_id AND c.kind = 'expiry'
        LEFT JOIN transfer_expiries AS x ON x.book_id = e.book_id AND x.seq = e.target_seq
        WHERE e.target_seq IS NOT NULL AND (x.expires_at IS NULL OR e.created_at < x.expires_at)
    """,
    "L-5 closed account is not empty": """
        SELECT book_id, code, posted_minor, held_minor FROM accounts
        WHERE closed_at IS NOT NULL AND (posted_minor <> 0 OR held_minor <> 0)
    """,
    "L-8 reversed more than a transaction's transfer moved": """
        SELECT t.book_id, t.seq, t.amount_minor, sum(e.amount_minor)
        FROM transfers AS e JOIN transfers AS t ON t.book_id = e.book_id AND t.seq = e.target_seq
        WHERE e.kind = 'reversal' GROUP BY t.book_id, t.seq, t.amount_minor HAVING sum(e.amount_minor) > t.amount_minor
    """,
    "L-5 hold differs from the sum of its parts": """
        SELECT h.book_id, h.hold_id, h.held_minor, sum(p.held_minor), h.captured_minor, sum(p.captured_minor)
        FROM holds AS h LEFT JOIN hold_parts AS p USING (book_id, hold_id) GROUP BY h.book_id, h.hold_id
        HAVING h.held_minor <> coalesce(sum(p.held_minor), 0) OR h.captured_minor <> coalesce(sum(p.captured_minor), 0)
    """,
    "L-8 reversed more than was posted": """
        SELECT book_id, transaction_id, posted, reversed FROM (
            SELECT book_id, transaction_id,
                sum(amount_minor) FILTER (WHERE kind = 'posted') AS posted,
                sum(amount_minor) FILTER (WHERE kind = 'reversal') AS reversed
            FROM transfers WHERE target_seq IS NULL GROUP BY book_id, transaction_id
        ) AS sums WHERE reversed > coalesce(posted, 0)
    """,
    "K-1 command differs from what it stands for": """
        SELECT c.book_id, c.command_id, c.kind, c.state, h.state, g.grant_id
        FROM commands AS c
        LEFT JOIN holds AS h ON h.book_id = c.book_id AND h.hold_id = c.command_id
        LEFT JOIN grants AS g ON g.book_id = c.book_id AND g.grant_id = c.command_id
        WHERE (h.hold_id IS NOT NULL) <> (c.kind = 'hold' AND c.state <> 'tombstone')
            OR (g.grant_id IS NOT NULL) <> (c.kind = 'grant' AND c.state <> 'tombstone')
            OR h.state IS NOT NULL AND c.state <> CASE h.state
                WHEN 'held' THEN 'live' WHEN 'captured' THEN 'done' ELSE 'undone' END
    """,
    "K-1 command's transfers are not there": """
        SELECT c.book_id, c.command_id, c.transfer_count, count(t.seq)
        FROM commands AS c
        LEFT JOIN transfers AS t ON t.book_id = c.book_id AND t.transaction_id = c.command_id
            AND t.seq >= c.first_seq AND t.seq < c.first_seq + c.transfer_count
        GROUP BY c.book_id, c.command_id HAVING c.transfer_count <> count(t.seq)
    """,
    "K-1 grant or hold without its command": """
        SELECT book_id, grant_id FROM grants AS g
        WHERE NOT EXISTS (SELECT FROM commands AS c WHERE c.book_id = g.book_id AND c.command_id = g.grant_id)
        UNION ALL
        SELECT book_id, hold_id FROM holds AS h
        WHERE NOT EXISTS (SELECT FROM commands AS c WHERE c.book_id = h.book_id AND c.command_id = h.hold_id)
    """,
    **WALLET_FINDINGS,
}

VIEWS = """
CREATE TEMPORARY VIEW effects AS
    SELECT book_id, seq, debit_account_id AS account_id,
        CASE WHEN kind IN ('posted', 'capture', 'reversal') THEN -amount_minor ELSE 0 END AS posted,
        CASE kind WHEN 'hold' THEN amount_minor WHEN 'capture' THEN -amount_minor
            WHEN 'release' THEN -amount_minor ELSE 0 END AS held,
        debit_posted_minor AS posted_after, debit_held_minor AS held_after
    FROM transfers
    UNION ALL
    SELECT book_id, seq, credit_account_id,
        CASE WHEN kind IN ('posted', 'capture', 'reversal') THEN amount_minor ELSE 0 END,
        0, credit_posted_minor, credit_held_minor
    FROM transfers;
CREATE TEMPORARY VIEW hold_movements AS
    SELECT book_id, transaction_id AS hold_id, debit_account_id AS account_id,
        coalesce(sum(amount_minor) FILTER (WHERE kind = 'hold'), 0) AS held,
        coalesce(sum(amount_minor) FILTER (WHERE kind = 'capture'), 0) AS captured,
        coalesce(sum(amount_minor) FILTER (WHERE kind = 'release'), 0) AS released
    FROM transfers AS t WHERE kind IN ('hold', 'capture', 'release') AND target_seq IS NULL AND NOT EXISTS (
        SELECT FROM commands AS c
        WHERE c.book_id = t.book_id AND c.command_id = t.transaction_id AND c.kind = 'transaction')
    GROUP BY book_id, transaction_id, debit_account_id;
CREATE TEMPORARY VIEW transaction_holds AS
    SELECT t.book_id, t.seq, t.debit_account_id AS account_id, t.amount_minor,
        t.amount_minor - coalesce(sum(e.amount_minor), 0) AS left_minor,
        count(e.seq) AS ends, count(*) FILTER (WHERE e.kind = 'capture') AS captures
    FROM transfers AS t
    JOIN commands AS c ON c.book_id = t.book_id AND c.command_id = t.transaction_id AND c.kind = 'transaction'
    LEFT JOIN transfers AS e ON e.book_id = t.book_id AND e.target_seq = t.seq
    WHERE t.kind = 'hold' GROUP BY t.book_id, t.seq;
"""


async def ledger_findings(connection: Any) -> list[str]:
    """All that is wrong, each finding with its row. `connection` is asyncpg's, of the ledger's owner or superuser."""
    findings = []
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(VIEWS)
        for name, statement in FINDINGS.items():
            findings += [f"{name}: {tuple(row)}" for row in await connection.fetch(statement)]
        await connection.execute("DROP VIEW effects, hold_movements, transaction_holds")
    return findings


async def assert_ledger_sound(connection: Any) -> None:
    """Fails with every finding (invariants L-1 to L-5, L-8 and K-1)."""
    findings = await ledger_findings(connection)
    assert not findings, "\n".join(findings)
