-- Transactions of all kinds, with reason and metadata to search by; accounts that can be closed.

ALTER TABLE accounts ADD COLUMN closed_at timestamptz;
ALTER TABLE accounts ADD CONSTRAINT accounts_closed_is_empty
    CHECK (closed_at IS NULL OR posted_minor = 0 AND held_minor = 0);
GRANT UPDATE (closed_at) ON accounts TO {app_role};

-- A new random number with every change of a book, whoever makes it: a process that reads the one that it wrote knows
-- that nobody else has changed the book since, and that the sums it remembers are those in the table.
ALTER TABLE books ADD COLUMN stamp bigint NOT NULL DEFAULT 0;
GRANT UPDATE (stamp) ON books TO {app_role};

-- Of a transaction's capture, release or reversal: the transfer that it ends or takes back. What is left of a hold or
-- of a movement is always read from these, never kept anywhere.
ALTER TABLE transfers ADD COLUMN target_seq bigint CHECK (target_seq < seq);
CREATE INDEX transfers_target ON transfers (book_id, target_seq) WHERE target_seq IS NOT NULL;

ALTER TABLE commands ADD COLUMN reason text;
ALTER TABLE commands ADD COLUMN metadata jsonb;
UPDATE commands AS c SET reason = t.reason FROM transfers AS t
WHERE c.kind = 'transaction' AND t.book_id = c.book_id AND t.seq = c.first_seq;
ALTER TABLE commands ADD CONSTRAINT commands_transaction_has_reason
    CHECK ((kind = 'transaction') = (reason IS NOT NULL) AND (metadata IS NULL OR kind = 'transaction'));
CREATE INDEX commands_reason ON commands (book_id, reason, first_seq) WHERE kind = 'transaction';

-- What transactions are found by: one row per entry of their metadata.
CREATE TABLE transaction_metadata (
    book_id smallint NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    first_seq bigint NOT NULL,
    transaction_id uuid NOT NULL,
    PRIMARY KEY (book_id, key, value, first_seq)
);
GRANT SELECT, INSERT ON transaction_metadata TO {app_role};
