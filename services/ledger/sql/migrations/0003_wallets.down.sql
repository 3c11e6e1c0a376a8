-- Takes refunds and the ends of grants with it; the transfers stay. Refused while commands of refunds and expiries are there.
DROP TABLE refund_parts, refunds;
ALTER TABLE commands
    DROP CONSTRAINT commands_kind_check,
    DROP CONSTRAINT commands_states_of_kind,
    ADD CONSTRAINT commands_kind_check CHECK (kind IN ('transaction', 'grant', 'hold')),
    ADD CONSTRAINT commands_states_of_kind CHECK (
        kind = 'transaction' AND state = 'done' OR kind = 'grant' AND state <> 'done' OR kind = 'hold'
    );
ALTER TABLE holds
    DROP CONSTRAINT holds_captured_is_spent,
    ADD CONSTRAINT holds_only_captured_is_spent CHECK (state = 'captured' OR captured_minor = 0);
ALTER TABLE hold_parts DROP COLUMN refunded_minor;
DROP INDEX grants_to_expire;
DROP INDEX grants_wallet;
ALTER TABLE grants
    DROP CONSTRAINT grants_revoked_says_how_much,
    DROP COLUMN empty_since,
    DROP COLUMN revoked_held_minor,
    DROP COLUMN revoked_minor,
    DROP COLUMN expired_minor,
    DROP COLUMN state,
    DROP COLUMN created_at;
CREATE INDEX grants_wallet ON grants (book_id, owner_id, currency);
