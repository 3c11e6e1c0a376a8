-- Wallets with all ends of a grant: partly revoked, expired to breakage, refunded to; grants that begin later.

ALTER TABLE grants
    ADD COLUMN created_at timestamptz,
    ADD COLUMN state text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'expired', 'revoked')),
    -- What went to breakage, by the sweep and by what was freed later.
    ADD COLUMN expired_minor bigint NOT NULL DEFAULT 0 CHECK (expired_minor >= 0),
    -- What its revocation took back, and what it could not take because it was held: the first answer.
    ADD COLUMN revoked_minor bigint CHECK (revoked_minor BETWEEN 0 AND amount_minor),
    ADD COLUMN revoked_held_minor bigint CHECK (revoked_held_minor BETWEEN 0 AND amount_minor),
    -- Since when nothing has been left in it; NULL while something is. Reads of a wallet look no further.
    ADD COLUMN empty_since timestamptz;
UPDATE grants AS g SET
    created_at = g.effective_at,
    state = CASE c.state WHEN 'undone' THEN 'revoked' ELSE 'live' END,
    revoked_minor = CASE c.state WHEN 'undone' THEN g.amount_minor END,
    revoked_held_minor = CASE c.state WHEN 'undone' THEN 0 END,
    empty_since = CASE a.posted_minor WHEN 0 THEN (
        SELECT t.created_at FROM transfers AS t
        WHERE t.book_id = g.book_id AND t.debit_account_id = g.account_id AND t.kind IN ('capture', 'reversal')
        ORDER BY t.seq DESC LIMIT 1
    ) END
FROM commands AS c, accounts AS a
WHERE c.book_id = g.book_id AND c.command_id = g.grant_id
    AND a.book_id = g.book_id AND a.account_id = g.account_id;
ALTER TABLE grants
    ALTER COLUMN created_at SET NOT NULL,
    ADD CONSTRAINT grants_revoked_says_how_much CHECK (
        (state = 'revoked') = (revoked_minor IS NOT NULL) AND (state = 'revoked') = (revoked_held_minor IS NOT NULL)
    );
-- Grants with something left stand together in it, however many are spent; so do those emptied since some moment.
DROP INDEX grants_wallet;
CREATE INDEX grants_wallet ON grants (book_id, owner_id, currency, empty_since);
CREATE INDEX grants_to_expire ON grants (book_id, expires_at)
    WHERE state = 'live' AND empty_since IS NULL AND expires_at IS NOT NULL;

ALTER TABLE hold_parts
    ADD COLUMN refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor BETWEEN 0 AND captured_minor);

ALTER TABLE holds
    DROP CONSTRAINT holds_only_captured_is_spent,
    ADD CONSTRAINT holds_captured_is_spent CHECK ((state = 'captured') = (captured_minor > 0));

ALTER TABLE commands
    DROP CONSTRAINT commands_kind_check,
    DROP CONSTRAINT commands_states_of_kind,
    ADD CONSTRAINT commands_kind_check CHECK (kind IN ('transaction', 'grant', 'hold', 'refund', 'expiry')),
    ADD CONSTRAINT commands_states_of_kind CHECK (
        kind IN ('transaction', 'refund', 'expiry') AND state = 'done'
        OR kind = 'grant' AND state <> 'done' OR kind = 'hold'
    );

-- Insert only: what was given back of a captured hold.
CREATE TABLE refunds (
    book_id smallint NOT NULL,
    refund_id uuid NOT NULL,
    hold_id uuid NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    grace_days integer NOT NULL CHECK (grace_days > 0),
    reason text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (book_id, refund_id),
    FOREIGN KEY (book_id, hold_id) REFERENCES holds
);

CREATE TABLE refund_parts (
    book_id smallint NOT NULL,
    refund_id uuid NOT NULL,
    position integer NOT NULL CHECK (position >= 0),
    grant_id uuid NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    -- The same grant, or the one opened in place of an expired one; NULL: on to the source of a revoked one.
    returned_to_grant_id uuid,
    PRIMARY KEY (book_id, refund_id, position),
    FOREIGN KEY (book_id, refund_id) REFERENCES refunds,
    FOREIGN KEY (book_id, grant_id) REFERENCES grants,
    FOREIGN KEY (book_id, returned_to_grant_id) REFERENCES grants
);

GRANT UPDATE (state, expired_minor, revoked_minor, revoked_held_minor, empty_since) ON grants TO {app_role};
GRANT UPDATE (refunded_minor) ON hold_parts TO {app_role};
GRANT SELECT, INSERT ON refunds, refund_parts TO {app_role};
