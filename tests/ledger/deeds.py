"""What somebody who may do everything can do to the rows, and what a verification says about it."""

# A transfer in the middle of a book that has some, of the kind wanted.
VICTIM = """(SELECT book_id, seq FROM transfers WHERE {kind} AND book_id = (
    SELECT book_id FROM transfers GROUP BY book_id ORDER BY count(*) DESC LIMIT 1) ORDER BY seq OFFSET 3 LIMIT 1)"""
POSTED = VICTIM.format(kind="kind = 'posted' AND reason = 'test.transaction'")
HOLD = VICTIM.format(kind="kind = 'hold' AND amount_minor = 400").replace("OFFSET 3", "OFFSET 0")

SUM, ROW, SEAL = "SUM_AFTER_TRANSFER_DIFFERS", "ACCOUNT_SUM_DIFFERS", "SEAL_DIFFERS"

# What is done, and the kinds of findings that name it: these and no others.
DEEDS = {
    "an amount is changed": (
        f"UPDATE transfers SET amount_minor = amount_minor + 1 WHERE (book_id, seq) = {POSTED}",
        {SUM, ROW, SEAL},
    ),
    "a sum after a transfer is changed": (
        f"UPDATE transfers SET credit_posted_minor = credit_posted_minor + 1 WHERE (book_id, seq) = {POSTED}",
        {SUM, SEAL},
    ),
    "a held sum after a transfer is changed": (
        f"UPDATE transfers SET debit_held_minor = debit_held_minor + 1 WHERE (book_id, seq) = {HOLD}",
        {SUM, SEAL},
    ),
    "a reason is changed": (
        f"UPDATE transfers SET reason = 'other' WHERE (book_id, seq) = {POSTED}",
        {"COMMAND_DIFFERS", SEAL},
    ),
    "a time is moved to the beginning": (
        f"UPDATE transfers SET created_at = created_at - interval '1 year' WHERE (book_id, seq) = {POSTED}",
        {"TIME_RUNS_BACKWARDS", "COMMAND_DIFFERS", SEAL},
    ),
    "a transfer goes to another account": (
        (
            f"UPDATE transfers SET credit_account_id = (SELECT max(account_id) + 1 FROM accounts)"
            f" WHERE (book_id, seq) = {POSTED}"
        ),
        {"ACCOUNT_MISSING", SUM, ROW, SEAL},
    ),
    "a transfer is deleted": (
        f"DELETE FROM transfers WHERE (book_id, seq) = {POSTED}",
        {"SEQUENCE_GAP", SUM, ROW, SEAL, "COMMAND_TRANSFERS_MISSING"},
    ),
    "the last transfer is deleted": (
        "DELETE FROM transfers AS t USING books AS b WHERE b.book_id = t.book_id AND t.seq = b.next_seq - 1",
        {"NEXT_SEQUENCE_DIFFERS", ROW, SEAL, "COMMAND_TRANSFERS_MISSING", "REFUND_DIFFERS"},
    ),
    "a transfer is inserted": (
        (
            "INSERT INTO transfers (book_id, seq, transaction_id, kind, debit_account_id, credit_account_id,"
            " amount_minor, debit_posted_minor, debit_held_minor, credit_posted_minor, credit_held_minor, reason,"
            " created_at)"
            " SELECT book_id, seq + 1, gen_random_uuid(), 'posted', debit_account_id, credit_account_id, 1,"
            " debit_posted_minor - 1, debit_held_minor, credit_posted_minor + 1, credit_held_minor, reason, created_at"
            " FROM transfers ORDER BY seq DESC LIMIT 1"
        ),
        {"NEXT_SEQUENCE_DIFFERS", ROW, "COMMAND_MISSING"},
    ),
    "two transfers are swapped": (
        (
            "UPDATE transfers AS t SET transaction_id = o.transaction_id, amount_minor = o.amount_minor,"
            " debit_posted_minor = o.debit_posted_minor, credit_posted_minor = o.credit_posted_minor"
            f" FROM transfers AS o, {POSTED} AS v WHERE t.book_id = v.book_id AND o.book_id = v.book_id"
            " AND (t.seq = v.seq AND o.seq = v.seq + 1 OR t.seq = v.seq + 1 AND o.seq = v.seq)"
        ),
        {SUM, SEAL, "COMMAND_TRANSFERS_MISSING"},
    ),
    "an account's balance is changed": (
        "UPDATE accounts SET posted_minor = posted_minor + 5 WHERE code = 'revenue' AND book_id = 0",
        {ROW, "CURRENCY_SUM_NOT_ZERO"},
    ),
    "two balances are changed alike": (
        (
            "UPDATE accounts SET posted_minor = posted_minor + CASE code WHEN 'revenue' THEN 5 ELSE -5 END"
            " WHERE code IN ('revenue', 'clearing:card')"
        ),
        {ROW},
    ),
    "what an account has held is changed": (
        "UPDATE accounts SET held_minor = 0 WHERE held_minor > 0",
        {ROW, "GRANT_DIFFERS"},
    ),
    "an account is deleted": (
        "DELETE FROM accounts WHERE code = 'revenue'",
        {"ACCOUNT_MISSING", "CURRENCY_SUM_NOT_ZERO"},
    ),
    "an account gets another currency": (
        "UPDATE accounts SET currency = 'USD' WHERE code = 'revenue'",
        {"CURRENCIES_MIXED", "CURRENCY_SUM_NOT_ZERO", "COMMAND_DIFFERS"},
    ),
    "an account gets a floor that it was below": (
        "UPDATE accounts SET floor_minor = 0, posted_minor = 0 WHERE code = 'clearing:card'",
        {"BELOW_FLOOR", ROW, "CURRENCY_SUM_NOT_ZERO"},
    ),
    "a hold is said to be captured": (
        "UPDATE holds SET state = 'captured', captured_minor = held_minor, ended_at = created_at WHERE state = 'held'",
        {"HOLD_DIFFERS", "HOLD_PART_DIFFERS"},
    ),
    "a part of a hold is changed": (
        "UPDATE hold_parts SET held_minor = held_minor + 1",
        {"HOLD_DIFFERS", "HOLD_PART_DIFFERS"},
    ),
    "a part of a hold is deleted": (
        "DELETE FROM hold_parts WHERE captured_minor > 0",
        {"HOLD_DIFFERS", "HOLD_PART_MISSING", "REFUND_DIFFERS"},
    ),
    "a hold is deleted with its parts": (
        "DELETE FROM hold_parts; DELETE FROM holds",
        {"HOLD_PART_MISSING", "COMMAND_DIFFERS", "REFUND_DIFFERS"},
    ),
    "a grant is deleted": (
        "DELETE FROM grants WHERE grant_id NOT IN (SELECT grant_id FROM hold_parts)",
        {"COMMAND_DIFFERS"},
    ),
    "a grant is said to have given more": (
        "UPDATE grants SET amount_minor = amount_minor + 1",
        {"GRANT_DIFFERS", "HOLD_DIFFERS"},
    ),
    "a grant is said to be in effect again": (
        "UPDATE commands SET state = 'live' WHERE kind = 'grant' AND state = 'undone'",
        {"GRANT_DIFFERS"},
    ),
    "a refund is changed": (
        "UPDATE refunds SET amount_minor = amount_minor + 1",
        {"REFUND_DIFFERS"},
    ),
    "a refund is deleted with its parts": (
        "DELETE FROM refund_parts; DELETE FROM refunds",
        {"REFUND_DIFFERS", "COMMAND_DIFFERS", "GRANT_DIFFERS"},
    ),
    "a transaction's hold is ended once more": (
        "UPDATE transfers SET target_seq = target_seq + 1 WHERE kind = 'release' AND reason = 'test.transaction'",
        {"HOLD_ENDED_WRONGLY", SEAL},
    ),
    "a reversal takes back another transfer": (
        "UPDATE transfers SET target_seq = 1 WHERE kind = 'reversal' AND target_seq IS NOT NULL",
        {"REVERSED_TOO_MUCH", SEAL},
    ),
    "a grant is said to be empty": (
        "UPDATE grants AS g SET empty_since = created_at WHERE empty_since IS NULL",
        {"GRANT_DIFFERS"},
    ),
    "a grant is said to have something left": (
        "UPDATE grants AS g SET empty_since = NULL WHERE state = 'revoked' AND revoked_held_minor = 0",
        {"GRANT_DIFFERS"},
    ),
    "a grant is said to be empty for longer": (
        "UPDATE grants AS g SET empty_since = empty_since - interval '1 second'",
        {"GRANT_DIFFERS"},
    ),
    "more of a grant is said to have expired": (
        "UPDATE grants SET expired_minor = expired_minor + 1 WHERE state = 'expired'",
        {"GRANT_DIFFERS"},
    ),
    "a grant is said to have expired": (
        "UPDATE grants SET state = 'expired' WHERE state = 'live' AND empty_since IS NULL",
        {"GRANT_DIFFERS"},
    ),
    "a grant that has expired is said to be live": (
        "UPDATE grants SET state = 'live' WHERE state = 'expired'",
        {"GRANT_DIFFERS"},
    ),
    "more is said to have been taken back of a grant": (
        "UPDATE grants SET revoked_minor = amount_minor, revoked_held_minor = 0 WHERE revoked_minor < amount_minor",
        {"GRANT_DIFFERS"},
    ),
    "a grant gets another source": (
        (
            "UPDATE grants AS g SET source_account_id = a.account_id FROM accounts AS a"
            " WHERE a.book_id = g.book_id AND a.code = 'breakage'"
        ),
        {"GRANT_DIFFERS", "HOLD_DIFFERS"},
    ),
    "grants get another category": (
        "UPDATE grants SET category = CASE category WHEN 'paid' THEN 'promotional' ELSE 'paid' END",
        {"GRANT_DIFFERS", "HOLD_DIFFERS"},
    ),
    "grants burn in another order": (
        "UPDATE grants SET priority = priority + 1",
        {"GRANT_DIFFERS", "HOLD_DIFFERS"},
    ),
    "grants live longer": (
        "UPDATE grants SET expires_at = expires_at + interval '1 day' WHERE state = 'live'",
        {"GRANT_DIFFERS"},
    ),
    "a grant in place of an expired one lives longer": (
        (
            "UPDATE grants AS g SET expires_at = g.expires_at + interval '1 day' FROM refund_parts AS p"
            " WHERE p.returned_to_grant_id = g.grant_id AND p.grant_id <> g.grant_id"
        ),
        {"GRANT_DIFFERS"},
    ),
    "a grant begins earlier": (
        "UPDATE grants SET effective_at = effective_at - interval '1 second'",
        {"GRANT_DIFFERS", "HOLD_DIFFERS"},
    ),
    "a hold is said to have been of more": (
        "UPDATE holds SET target_minor = target_minor + 1",
        {"HOLD_DIFFERS"},
    ),
    "a hold is said to expire later": (
        "UPDATE holds SET expires_at = expires_at + interval '1 day'",
        {"HOLD_DIFFERS"},
    ),
    "a refund is said to give another grace": (
        "UPDATE refunds SET grace_days = grace_days + 1",
        {"REFUND_DIFFERS", "GRANT_DIFFERS"},
    ),
    "more is said to have been held of a revoked grant": (
        "UPDATE grants SET revoked_held_minor = revoked_held_minor + 1 WHERE revoked_minor > 0",
        {"GRANT_DIFFERS"},
    ),
    "a grant gets another owner": (
        "UPDATE grants SET owner_id = gen_random_uuid()",
        {"GRANT_DIFFERS"},
    ),
    "a grant's account gets another owner": (
        "UPDATE accounts SET owner_id = gen_random_uuid() WHERE owner_id IS NOT NULL",
        {"GRANT_DIFFERS"},
    ),
    "a hold gets another owner": (
        "UPDATE holds SET owner_id = gen_random_uuid()",
        {"HOLD_DIFFERS"},
    ),
    "a hold gets another reason": (
        "UPDATE holds SET reason = 'other' WHERE held_minor > 0",
        {"HOLD_DIFFERS"},
    ),
    "a hold is said to have paid to another account": (
        (
            "UPDATE holds AS h SET credit_account_id = a.account_id FROM accounts AS a"
            " WHERE a.book_id = h.book_id AND a.code = 'clearing:card' AND h.state = 'released' AND h.held_minor > 0"
        ),
        {"HOLD_DIFFERS"},
    ),
    "a hold is said to have ended later": (
        "UPDATE holds SET ended_at = ended_at + interval '1 second' WHERE held_minor > 0",
        {"HOLD_DIFFERS"},
    ),
    "less is said to be captured of a hold": (
        (
            "UPDATE hold_parts SET captured_minor = captured_minor - 1 WHERE captured_minor > refunded_minor;"
            " UPDATE holds SET captured_minor = (SELECT sum(captured_minor) FROM hold_parts AS p"
            " WHERE p.book_id = holds.book_id AND p.hold_id = holds.hold_id) WHERE captured_minor > 0"
        ),
        {"HOLD_PART_DIFFERS"},
    ),
    "less is said to be refunded of a hold": (
        "UPDATE hold_parts SET refunded_minor = refunded_minor - 1 WHERE refunded_minor > 0",
        {"REFUND_DIFFERS"},
    ),
    "a refund and its part are changed alike": (
        (
            "UPDATE refund_parts SET amount_minor = amount_minor + 1;"
            " UPDATE refunds SET amount_minor = amount_minor + 1;"
            " UPDATE hold_parts SET refunded_minor = refunded_minor + 1 WHERE refunded_minor > 0"
        ),
        {"REFUND_DIFFERS"},
    ),
    "a refund is said to have gone on to a source": (
        "UPDATE refund_parts SET returned_to_grant_id = NULL WHERE returned_to_grant_id <> grant_id",
        {"REFUND_DIFFERS", "GRANT_DIFFERS"},
    ),
    "a transaction's reason is changed": (
        "UPDATE commands SET reason = 'other' WHERE kind = 'transaction'",
        {"COMMAND_DIFFERS"},
    ),
    "a transaction's metadata is changed": (
        "UPDATE commands SET metadata = jsonb_build_object('order_id', 'other') WHERE metadata IS NOT NULL",
        {"COMMAND_DIFFERS", SEAL},
    ),
    "a transaction's metadata is no object": (
        "UPDATE commands SET metadata = '[1]' WHERE metadata IS NOT NULL",
        {"COMMAND_DIFFERS", SEAL},
    ),
    "a transaction's metadata is changed wherever it stands": (
        (
            "UPDATE commands SET metadata = jsonb_build_object('order_id', 'other') WHERE metadata IS NOT NULL;"
            " UPDATE transaction_metadata SET value = 'other'"
        ),
        {SEAL},
    ),
    "a transaction is no longer to be found": (
        "DELETE FROM transaction_metadata",
        {"COMMAND_DIFFERS"},
    ),
    "a transaction gets another owner": (
        "UPDATE commands SET owner_id = gen_random_uuid() WHERE kind = 'transaction'",
        {SEAL},
    ),
    "a transaction is said to have been another": (
        "UPDATE commands SET fingerprint = decode(md5('other'), 'hex') WHERE kind = 'transaction'",
        {SEAL},
    ),
    "a transaction's hold is said to expire later": (
        "UPDATE transfer_expiries SET expires_at = expires_at + interval '2 days' WHERE ended_at < expires_at",
        {SEAL},
    ),
    "a transaction's hold is said to have expired too early": (
        "UPDATE transfer_expiries SET expires_at = expires_at + interval '2 days'",
        {"HOLD_ENDED_WRONGLY", SEAL},
    ),
    "the expiry of a transaction's hold is deleted": (
        "DELETE FROM transfer_expiries",
        {"HOLD_ENDED_WRONGLY", SEAL},
    ),
    "a transaction's hold is said to have ended at another time": (
        "UPDATE transfer_expiries SET ended_at = expires_at",
        {"HOLD_ENDED_WRONGLY"},
    ),
    "a transaction's hold is said to be open": (
        "UPDATE transfer_expiries SET ended_at = NULL",
        {"HOLD_ENDED_WRONGLY"},
    ),
    "a command is deleted": (
        "DELETE FROM commands WHERE kind = 'transaction'",
        {"COMMAND_MISSING", "COMMAND_DIFFERS", SEAL},
    ),
    "the command of a hold is deleted": (
        "DELETE FROM commands WHERE kind = 'hold'",
        {"COMMAND_MISSING", SEAL},
    ),
    "a command is invented": (
        "UPDATE commands SET transfer_count = transfer_count + 1 WHERE kind = 'transaction'",
        {"COMMAND_TRANSFERS_MISSING"},
    ),
    "a seal is changed": (
        "UPDATE seals SET sha256 = sha256(sha256) WHERE from_seq = 8",
        {SEAL, "SEAL_CHAIN_BROKEN"},
    ),
    "a seal is deleted": (
        "DELETE FROM seals WHERE from_seq = 8",
        {"SEAL_CHAIN_BROKEN"},
    ),
    "all transfers are deleted": (
        "TRUNCATE transfers",
        {
            *("NEXT_SEQUENCE_DIFFERS", ROW, SEAL, "COMMAND_TRANSFERS_MISSING"),
            *("HOLD_PART_DIFFERS", "HOLD_ENDED_WRONGLY", "GRANT_DIFFERS", "REFUND_DIFFERS"),
        },
    ),
    "all accounts are deleted": (
        "TRUNCATE accounts CASCADE",
        {"ACCOUNT_MISSING", "COMMAND_DIFFERS"},
    ),
}
