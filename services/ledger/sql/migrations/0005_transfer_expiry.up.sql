-- Holds of transactions that expire by themselves, and seals over what transactions say.

-- When a transaction's hold expires; one that never does has no row. Once it has ended, nobody looks for it any more.
CREATE TABLE transfer_expiries (
    book_id smallint NOT NULL,
    seq bigint NOT NULL,
    transaction_id uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (book_id, seq)
);
CREATE INDEX transfer_expiries_to_come ON transfer_expiries (book_id, expires_at, seq) WHERE ended_at IS NULL;
GRANT SELECT, INSERT ON transfer_expiries TO {app_role};
GRANT UPDATE (ended_at) ON transfer_expiries TO {app_role};

-- With the id at their end, so that a sweep goes on where it was.
DROP INDEX holds_to_expire;
DROP INDEX grants_to_expire;
CREATE INDEX holds_to_expire ON holds (book_id, expires_at, hold_id) WHERE state = 'held';
CREATE INDEX grants_to_expire ON grants (book_id, expires_at, grant_id)
    WHERE state = 'live' AND empty_since IS NULL AND expires_at IS NOT NULL;

-- With the time of their making at its end, so that what was made later is passed over without reading it.
DROP INDEX grants_wallet;
CREATE INDEX grants_wallet ON grants (book_id, owner_id, currency, empty_since, created_at);

-- Seals cover what transactions say, and when their holds expire; those made before covered less. All of it is sealed
-- anew, and seals kept outside are to be fetched again.
ALTER TABLE seals DISABLE TRIGGER seals_no_truncate;
TRUNCATE seals;
ALTER TABLE seals ENABLE ALWAYS TRIGGER seals_no_truncate;
