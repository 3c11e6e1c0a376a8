"""What must hold of wallets beyond accounts and holds: ends of grants, and refunds. Part of soundness.py."""

WALLET_FINDINGS = {
    "L-5 closed grant has something free": """
        SELECT g.book_id, g.grant_id, g.state, a.posted_minor, a.held_minor
        FROM grants AS g JOIN accounts AS a USING (book_id, account_id)
        WHERE g.state <> 'live' AND a.posted_minor <> a.held_minor
    """,
    "K-1 grant's state differs from its command's": """
        SELECT g.book_id, g.grant_id, g.state, c.state
        FROM grants AS g JOIN commands AS c ON c.book_id = g.book_id AND c.command_id = g.grant_id
        WHERE (g.state = 'revoked') <> (c.state = 'undone')
    """,
    "K-1 live grant was reversed": """
        SELECT g.book_id, g.grant_id, g.state, t.seq
        FROM grants AS g JOIN transfers AS t ON t.book_id = g.book_id AND t.transaction_id = g.grant_id
        WHERE t.kind = 'reversal' AND g.state <> 'revoked'
    """,
    "L-2 grant is empty and not marked so, or marked and not empty": """
        SELECT g.book_id, g.grant_id, g.empty_since, a.posted_minor
        FROM grants AS g JOIN accounts AS a USING (book_id, account_id)
        WHERE (g.empty_since IS NOT NULL) <> (a.posted_minor = 0)
    """,
    "L-2 what expired of a grant differs from its transfers to breakage": """
        SELECT g.book_id, g.grant_id, g.expired_minor, sum(t.amount_minor)
        FROM grants AS g
        LEFT JOIN (transfers AS t JOIN accounts AS b
            ON b.book_id = t.book_id AND b.account_id = t.credit_account_id AND b.code = 'breakage')
            ON t.book_id = g.book_id AND t.debit_account_id = g.account_id AND t.kind = 'posted'
        GROUP BY g.book_id, g.grant_id HAVING g.expired_minor <> coalesce(sum(t.amount_minor), 0)
    """,
    "K-1 grant expired more than once": """
        SELECT g.book_id, g.grant_id, count(*)
        FROM grants AS g
        JOIN transfers AS t ON t.book_id = g.book_id AND t.debit_account_id = g.account_id
        JOIN commands AS c ON c.book_id = t.book_id AND c.command_id = t.transaction_id AND c.kind = 'expiry'
        GROUP BY g.book_id, g.grant_id HAVING count(*) > 1
    """,
    "L-8 refunded more than was captured, or not what the refunds say": """
        SELECT p.book_id, p.hold_id, p.grant_id, p.captured_minor, p.refunded_minor, sum(r.amount_minor)
        FROM hold_parts AS p
        LEFT JOIN (refunds JOIN refund_parts AS r USING (book_id, refund_id))
            ON refunds.book_id = p.book_id AND refunds.hold_id = p.hold_id AND r.grant_id = p.grant_id
        GROUP BY p.book_id, p.hold_id, p.position
        HAVING p.refunded_minor <> coalesce(sum(r.amount_minor), 0) OR p.refunded_minor > p.captured_minor
    """,
    "K-1 refund differs from the sum of its parts": """
        SELECT r.book_id, r.refund_id, r.amount_minor, sum(p.amount_minor)
        FROM refunds AS r JOIN refund_parts AS p USING (book_id, refund_id)
        GROUP BY r.book_id, r.refund_id HAVING r.amount_minor <> sum(p.amount_minor)
    """,
    "K-1 part of a refund differs from its transfer": """
        SELECT r.book_id, r.refund_id, p.grant_id, p.amount_minor, t.amount_minor
        FROM refunds AS r
        JOIN refund_parts AS p USING (book_id, refund_id)
        JOIN holds AS h ON h.book_id = r.book_id AND h.hold_id = r.hold_id
        JOIN grants AS g ON g.book_id = p.book_id AND g.grant_id = coalesce(p.returned_to_grant_id, p.grant_id)
        LEFT JOIN transfers AS t ON t.book_id = r.book_id AND t.kind = 'posted'
            AND t.debit_account_id = h.credit_account_id AND t.credit_account_id = g.account_id
            AND t.transaction_id = CASE WHEN g.grant_id = p.grant_id THEN r.refund_id ELSE g.grant_id END
        WHERE t.amount_minor IS DISTINCT FROM p.amount_minor
    """,
    "K-1 refund without its command, or the other way round": """
        SELECT coalesce(r.book_id, c.book_id), coalesce(r.refund_id, c.command_id)
        FROM refunds AS r
        FULL JOIN (SELECT * FROM commands WHERE kind = 'refund') AS c
            ON c.book_id = r.book_id AND c.command_id = r.refund_id
        WHERE r.refund_id IS NULL OR c.command_id IS NULL
    """,
}
