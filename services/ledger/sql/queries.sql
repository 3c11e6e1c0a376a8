-- name: read_book_count :one
-- Asked at every readiness check too.
SELECT book_count FROM book_setup;

-- name: insert_book_count :exec
-- Two processes that start at once: the second one's insert fails, and it reads what the first one wrote.
INSERT INTO book_setup (book_count) VALUES ($1);

-- name: insert_books :exec
INSERT INTO books (book_id) SELECT generate_series(0, $1::integer - 1);

-- name: lock_books :many
-- In id order, so that groups never wait for each other in a circle. The time is read outside the inner query,
-- which is to say after the wait: it would be from before it otherwise.
WITH locked AS MATERIALIZED (
    SELECT book_id, next_seq, next_account_id, last_at FROM books
    WHERE book_id = ANY ($1::smallint[])
    ORDER BY book_id FOR UPDATE
)
SELECT book_id, next_seq, next_account_id, greatest(clock_timestamp(), last_at) AS now FROM locked;

-- name: load_commands :many
-- Replays, undone ids and tombstones; also those that were committed while we waited for the lock.
SELECT c.book_id, c.command_id, c.kind, c.owner_id, c.currency, c.fingerprint, c.state, c.first_seq,
    c.transfer_count, c.created_at
FROM unnest($1::smallint[], $2::uuid[]) AS wanted (book_id, command_id)
JOIN commands AS c USING (book_id, command_id);

-- name: load_first_transfers :many
-- The first answers of transactions that came before. A hold's or grant's answer is in its own row.
SELECT t.book_id, t.seq, t.transaction_id, t.kind, t.debit_account_id, t.credit_account_id, t.amount_minor,
    t.debit_posted_minor, t.debit_held_minor, t.credit_posted_minor, t.credit_held_minor, t.reason, t.created_at
FROM unnest($1::smallint[], $2::bigint[], $3::integer[]) AS wanted (book_id, first_seq, transfer_count)
JOIN transfers AS t
    ON t.book_id = wanted.book_id
    AND t.seq >= wanted.first_seq AND t.seq < wanted.first_seq + wanted.transfer_count
ORDER BY t.book_id, t.seq;

-- name: load_holds :many
SELECT h.book_id, h.hold_id, h.owner_id, h.currency, h.credit_account_id, h.target_minor, h.expires_at, h.reason,
    h.created_at, h.state, h.reverse_born_held, h.ended_at
FROM unnest($1::smallint[], $2::uuid[]) AS wanted (book_id, hold_id)
JOIN holds AS h USING (book_id, hold_id);

-- name: load_hold_parts :many
-- In burn order, as it was when the hold was made.
SELECT p.book_id, p.hold_id, p.grant_id, p.held_minor, p.captured_minor
FROM unnest($1::smallint[], $2::uuid[]) AS wanted (book_id, hold_id)
JOIN hold_parts AS p USING (book_id, hold_id)
ORDER BY p.book_id, p.hold_id, p.position;

-- name: load_grants :many
SELECT g.book_id, g.grant_id, g.account_id, g.owner_id, g.currency, g.category, g.priority, g.amount_minor,
    g.source_account_id, g.hold_id, g.effective_at, g.expires_at
FROM unnest($1::smallint[], $2::uuid[]) AS wanted (book_id, grant_id)
JOIN grants AS g USING (book_id, grant_id);

-- name: load_wallet_grants :many
-- Grants with something left to hold. What else of a wallet can become free within the group comes by its hold.
SELECT g.book_id, g.grant_id, g.account_id, g.owner_id, g.currency, g.category, g.priority, g.amount_minor,
    g.source_account_id, g.hold_id, g.effective_at, g.expires_at
FROM unnest($1::smallint[], $2::uuid[], $3::text[]) AS wanted (book_id, owner_id, currency)
JOIN grants AS g USING (book_id, owner_id, currency)
JOIN accounts AS a USING (book_id, account_id)
WHERE a.posted_minor > a.held_minor;

-- name: load_accounts_by_code :many
SELECT a.book_id, a.account_id, a.code, a.currency, a.owner_id, a.floor_minor, a.posted_minor, a.held_minor
FROM unnest($1::smallint[], $2::text[], $3::text[]) AS wanted (book_id, code, currency)
JOIN accounts AS a USING (book_id, code, currency);

-- name: load_accounts :many
SELECT a.book_id, a.account_id, a.code, a.currency, a.owner_id, a.floor_minor, a.posted_minor, a.held_minor
FROM unnest($1::smallint[], $2::bigint[]) AS wanted (book_id, account_id)
JOIN accounts AS a USING (book_id, account_id);

-- name: insert_accounts :exec
INSERT INTO accounts
    (book_id, account_id, code, currency, owner_id, floor_minor, posted_minor, held_minor, created_at)
SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::text[], $4::text[], $5::uuid[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::timestamptz[]);

-- name: update_accounts :exec
UPDATE accounts AS a SET posted_minor = moved.posted_minor, held_minor = moved.held_minor
FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[])
    AS moved (book_id, account_id, posted_minor, held_minor)
WHERE a.book_id = moved.book_id AND a.account_id = moved.account_id;

-- name: insert_transfers :exec
INSERT INTO transfers
    (book_id, seq, transaction_id, kind, debit_account_id, credit_account_id, amount_minor,
    debit_posted_minor, debit_held_minor, credit_posted_minor, credit_held_minor, reason, created_at)
SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::timestamptz[]);

-- name: insert_commands :exec
INSERT INTO commands
    (book_id, command_id, kind, owner_id, currency, fingerprint, state, first_seq, transfer_count, created_at)
SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::bytea[], $7::text[],
    $8::bigint[], $9::integer[], $10::timestamptz[]);

-- name: update_commands :exec
UPDATE commands AS c SET state = ended.state
FROM unnest($1::smallint[], $2::uuid[], $3::text[]) AS ended (book_id, command_id, state)
WHERE c.book_id = ended.book_id AND c.command_id = ended.command_id;

-- name: insert_holds :exec
INSERT INTO holds
    (book_id, hold_id, owner_id, currency, credit_account_id, target_minor, held_minor, captured_minor, state,
    reverse_born_held, reason, expires_at, created_at, ended_at)
SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::text[], $10::boolean[], $11::text[], $12::timestamptz[], $13::timestamptz[],
    $14::timestamptz[]);

-- name: update_holds :exec
UPDATE holds AS h SET state = ended.state, captured_minor = ended.captured_minor,
    reverse_born_held = ended.reverse_born_held, ended_at = ended.ended_at
FROM unnest($1::smallint[], $2::uuid[], $3::text[], $4::bigint[], $5::boolean[], $6::timestamptz[])
    AS ended (book_id, hold_id, state, captured_minor, reverse_born_held, ended_at)
WHERE h.book_id = ended.book_id AND h.hold_id = ended.hold_id;

-- name: insert_grants :exec
INSERT INTO grants
    (book_id, grant_id, account_id, owner_id, currency, category, priority, amount_minor, source_account_id, hold_id,
    effective_at, expires_at)
SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::text[], $7::integer[],
    $8::bigint[], $9::bigint[], $10::uuid[], $11::timestamptz[], $12::timestamptz[]);

-- name: insert_hold_parts :exec
INSERT INTO hold_parts (book_id, hold_id, position, grant_id, held_minor, captured_minor)
SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::integer[], $4::uuid[], $5::bigint[], $6::bigint[]);

-- name: update_hold_parts :exec
UPDATE hold_parts AS p SET captured_minor = spent.captured_minor
FROM unnest($1::smallint[], $2::uuid[], $3::integer[], $4::bigint[])
    AS spent (book_id, hold_id, position, captured_minor)
WHERE p.book_id = spent.book_id AND p.hold_id = spent.hold_id AND p.position = spent.position;

-- name: update_books :exec
UPDATE books AS b SET next_seq = moved.next_seq, next_account_id = moved.next_account_id, last_at = moved.last_at
FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::timestamptz[])
    AS moved (book_id, next_seq, next_account_id, last_at)
WHERE b.book_id = moved.book_id;

-- name: read_wallet :many
-- One statement, so that balances and time are of one moment. The book's row is there also for an empty wallet.
SELECT greatest(clock_timestamp(), b.last_at) AS now, g.grant_id, g.amount_minor, g.category, g.priority,
    g.effective_at, g.expires_at, a.posted_minor, a.held_minor, s.code AS source_code
FROM books AS b
LEFT JOIN (grants AS g
    JOIN accounts AS a ON a.book_id = g.book_id AND a.account_id = g.account_id AND a.posted_minor > 0
    JOIN accounts AS s ON s.book_id = g.book_id AND s.account_id = g.source_account_id)
    ON g.book_id = b.book_id AND g.owner_id = $2 AND g.currency = $3
WHERE b.book_id = $1;

-- name: find_wallet_accounts :many
SELECT account_id FROM grants WHERE book_id = $1 AND currency = $2 AND owner_id = $3;

-- name: find_account :many
SELECT account_id FROM accounts WHERE book_id = $1 AND currency = $2 AND code = $3;

-- name: list_transfers :many
-- Of each account one page from each side's index, at most; the newest of all these are the page.
WITH page AS (
    SELECT side.seq
    FROM unnest($2::bigint[]) AS listed (account_id)
    CROSS JOIN LATERAL (
        (SELECT seq FROM transfers
        WHERE book_id = $1 AND debit_account_id = listed.account_id AND seq < $3 ORDER BY seq DESC LIMIT $4)
        UNION ALL
        (SELECT seq FROM transfers
        WHERE book_id = $1 AND credit_account_id = listed.account_id AND seq < $3 ORDER BY seq DESC LIMIT $4)
    ) AS side
    GROUP BY side.seq ORDER BY side.seq DESC LIMIT $4
)
SELECT t.book_id, t.seq, t.transaction_id, t.kind, t.debit_account_id, t.credit_account_id, t.amount_minor,
    t.debit_posted_minor, t.debit_held_minor, t.credit_posted_minor, t.credit_held_minor, t.reason, t.created_at,
    debit.code AS debit_code, credit.code AS credit_code, debit.currency
FROM page
JOIN transfers AS t ON t.book_id = $1 AND t.seq = page.seq
JOIN accounts AS debit ON debit.book_id = $1 AND debit.account_id = t.debit_account_id
JOIN accounts AS credit ON credit.book_id = $1 AND credit.account_id = t.credit_account_id
ORDER BY t.seq DESC;
