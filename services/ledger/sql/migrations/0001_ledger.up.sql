-- Accounts, transfers and wallets, split into books. Every key begins with book_id, so that the same tables can be
-- spread over the nodes of a distributed PostgreSQL. Amounts and sums are in minor units of the currency.

-- How many books there are: decided once, because a customer's book is a hash modulo this number.
CREATE TABLE book_setup (
    is_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_only_row),
    book_count smallint NOT NULL CHECK (book_count BETWEEN 1 AND 4096),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The book is the only row that is ever locked.
CREATE TABLE books (
    book_id smallint PRIMARY KEY CHECK (book_id >= 0),
    next_seq bigint NOT NULL DEFAULT 1 CHECK (next_seq >= 1),
    next_account_id bigint NOT NULL DEFAULT 1 CHECK (next_account_id >= 1),
    last_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10);

CREATE TABLE accounts (
    book_id smallint NOT NULL REFERENCES books,
    account_id bigint NOT NULL CHECK (account_id >= 1),
    code text NOT NULL,
    currency text NOT NULL CHECK (length(currency) = 3),
    owner_id uuid,
    floor_minor bigint,
    posted_minor bigint NOT NULL,
    held_minor bigint NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (book_id, account_id),
    CONSTRAINT accounts_code_key UNIQUE (book_id, code, currency),
    CONSTRAINT accounts_held_not_negative CHECK (held_minor >= 0),
    CONSTRAINT accounts_floor CHECK (floor_minor IS NULL OR posted_minor - held_minor >= floor_minor),
    CONSTRAINT accounts_grant_has_owner CHECK (starts_with(code, 'grant:') = (owner_id IS NOT NULL))
-- Half of each page is left free: sums change in place, without touching an index.
) WITH (fillfactor = 50);

-- Insert only. No foreign keys: their checks, row by row, would cost more than the insert itself.
CREATE TABLE transfers (
    book_id smallint NOT NULL,
    seq bigint NOT NULL CHECK (seq >= 1),
    transaction_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('posted', 'hold', 'capture', 'release', 'reversal')),
    debit_account_id bigint NOT NULL,
    credit_account_id bigint NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    debit_posted_minor bigint NOT NULL,
    debit_held_minor bigint NOT NULL CHECK (debit_held_minor >= 0),
    credit_posted_minor bigint NOT NULL,
    credit_held_minor bigint NOT NULL CHECK (credit_held_minor >= 0),
    reason text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (book_id, seq),
    CONSTRAINT transfers_two_accounts CHECK (debit_account_id <> credit_account_id)
);
CREATE INDEX transfers_debit ON transfers (book_id, debit_account_id, seq);
CREATE INDEX transfers_credit ON transfers (book_id, credit_account_id, seq);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER transfers_append_only BEFORE UPDATE OR DELETE ON transfers
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfers_no_truncate BEFORE TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- ALWAYS: also in a session that calls itself a replica.
ALTER TABLE transfers ENABLE ALWAYS TRIGGER transfers_append_only;
ALTER TABLE transfers ENABLE ALWAYS TRIGGER transfers_no_truncate;

-- One row per id ever used: what it stands for, what has become of it, and where its first transfers are.
CREATE TABLE commands (
    book_id smallint NOT NULL,
    command_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('transaction', 'grant', 'hold')),
    owner_id uuid NOT NULL,
    currency text NOT NULL,
    fingerprint bytea,
    state text NOT NULL CHECK (state IN ('live', 'done', 'undone', 'tombstone')),
    first_seq bigint,
    transfer_count integer NOT NULL CHECK (transfer_count >= 0),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (book_id, command_id),
    CONSTRAINT commands_tombstone_is_bare CHECK ((state = 'tombstone') = (fingerprint IS NULL)),
    CONSTRAINT commands_transfers CHECK ((first_seq IS NULL) = (transfer_count = 0)),
    CONSTRAINT commands_states_of_kind CHECK (
        kind = 'transaction' AND state = 'done' OR kind = 'grant' AND state <> 'done' OR kind = 'hold'
    )
);

CREATE TABLE holds (
    book_id smallint NOT NULL,
    hold_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    currency text NOT NULL,
    credit_account_id bigint NOT NULL,
    target_minor bigint NOT NULL CHECK (target_minor >= 0),
    held_minor bigint NOT NULL CHECK (held_minor >= 0),
    captured_minor bigint NOT NULL CHECK (captured_minor BETWEEN 0 AND held_minor),
    state text NOT NULL CHECK (state IN ('held', 'captured', 'released', 'expired')),
    reverse_born_held boolean,
    reason text NOT NULL,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (book_id, hold_id),
    FOREIGN KEY (book_id, credit_account_id) REFERENCES accounts,
    CONSTRAINT holds_expires_later CHECK (expires_at > created_at),
    CONSTRAINT holds_only_captured_is_spent CHECK (state = 'captured' OR captured_minor = 0),
    CONSTRAINT holds_only_released_is_reversed CHECK ((state = 'released') = (reverse_born_held IS NOT NULL)),
    CONSTRAINT holds_ended CHECK ((state = 'held') = (ended_at IS NULL))
);
CREATE INDEX holds_to_expire ON holds (book_id, expires_at) WHERE state = 'held';

CREATE TABLE grants (
    book_id smallint NOT NULL,
    grant_id uuid NOT NULL,
    account_id bigint NOT NULL,
    owner_id uuid NOT NULL,
    currency text NOT NULL,
    category text NOT NULL CHECK (category IN ('promotional', 'paid')),
    priority integer NOT NULL CHECK (priority >= 0),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    source_account_id bigint NOT NULL,
    hold_id uuid,
    effective_at timestamptz NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (book_id, grant_id),
    CONSTRAINT grants_account_key UNIQUE (book_id, account_id),
    FOREIGN KEY (book_id, account_id) REFERENCES accounts,
    FOREIGN KEY (book_id, source_account_id) REFERENCES accounts,
    FOREIGN KEY (book_id, hold_id) REFERENCES holds,
    CONSTRAINT grants_expire_later CHECK (expires_at > effective_at)
);
CREATE INDEX grants_wallet ON grants (book_id, owner_id, currency);

CREATE TABLE hold_parts (
    book_id smallint NOT NULL,
    hold_id uuid NOT NULL,
    position integer NOT NULL CHECK (position >= 0),
    grant_id uuid NOT NULL,
    held_minor bigint NOT NULL CHECK (held_minor > 0),
    captured_minor bigint NOT NULL CHECK (captured_minor BETWEEN 0 AND held_minor),
    PRIMARY KEY (book_id, hold_id, position),
    CONSTRAINT hold_parts_grant_key UNIQUE (book_id, hold_id, grant_id),
    FOREIGN KEY (book_id, hold_id) REFERENCES holds,
    FOREIGN KEY (book_id, grant_id) REFERENCES grants
);

-- Exactly what the code does, and on transfers nothing but reading and adding.
GRANT SELECT, INSERT ON book_setup, books, accounts, transfers, commands, holds, grants, hold_parts TO {app_role};
GRANT UPDATE (next_seq, next_account_id, last_at) ON books TO {app_role};
GRANT UPDATE (posted_minor, held_minor) ON accounts TO {app_role};
GRANT UPDATE (state) ON commands TO {app_role};
GRANT UPDATE (state, captured_minor, reverse_born_held, ended_at) ON holds TO {app_role};
GRANT UPDATE (captured_minor) ON hold_parts TO {app_role};
