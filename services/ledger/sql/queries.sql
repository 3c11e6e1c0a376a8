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
    SELECT book_id, next_seq, next_account_id, last_at, stamp FROM books
    WHERE book_id = ANY ($1::smallint[])
    ORDER BY book_id FOR UPDATE
)
SELECT book_id, next_seq, next_account_id, greatest(clock_timestamp(), last_at) AS now, stamp FROM locked;

-- name: load_commands :many
-- Replays, undone ids and tombstones; also those that were committed while we waited for the lock. LATERAL with a LIMIT,
-- here and below: each is looked up by its key, also by a plan that was made when the table was small.
SELECT c.book_id, c.command_id, c.kind, c.owner_id, c.currency, c.fingerprint, c.state, c.first_seq,
    c.transfer_count, c.created_at, c.reason, c.metadata
FROM unnest($1::smallint[], $2::uuid[]) AS wanted (book_id, command_id)
CROSS JOIN LATERAL (
    SELECT * FROM commands WHERE book_id = wanted.book_id AND command_id = wanted.command_id LIMIT 1
) AS c;

-- name: load_first_transfers :many
-- The first answers of transactions that came before. A hold's or grant's answer is in its own row.
SELECT t.book_id, t.seq, t.transaction_id, t.kind, t.debit_account_id, t.credit_account_id, t.amount_minor,
    t.debit_posted_minor, t.debit_held_minor, t.credit_posted_minor, t.credit_held_minor, t.reason, t.created_at,
    t.target_seq
FROM unnest($1::smallint[], $2::bigint[], $3::integer[]) AS wanted (book_id, first_seq, transfer_count)
JOIN transfers AS t
    ON t.book_id = wanted.book_id
    AND t.seq >= wanted.first_seq AND t.seq < wanted.first_seq + wanted.transfer_count
ORDER BY t.book_id, t.seq;

-- name: load_movements :many
-- Transfers of earlier transactions that are to be ended or taken back, and what came of them so far.
SELECT t.book_id, t.seq, t.transaction_id, t.kind, t.debit_account_id, t.credit_account_id, t.amount_minor,
    t.debit_posted_minor, t.debit_held_minor, t.credit_posted_minor, t.credit_held_minor, t.reason, t.created_at,
    t.target_seq, coalesce(later.reversed_minor, 0) AS reversed_minor, coalesce(later.is_ended, false) AS is_ended,
    x.expires_at
FROM unnest($1::smallint[], $2::uuid[], $3::integer[]) AS wanted (book_id, command_id, index)
JOIN commands AS c USING (book_id, command_id)
JOIN transfers AS t ON t.book_id = c.book_id AND t.seq = c.first_seq + wanted.index
LEFT JOIN transfer_expiries AS x ON x.book_id = t.book_id AND x.seq = t.seq
CROSS JOIN LATERAL (
    SELECT sum(e.amount_minor) FILTER (WHERE e.kind = 'reversal')::bigint AS reversed_minor,
        bool_or(e.kind IN ('capture', 'release')) AS is_ended
    FROM transfers AS e WHERE e.book_id = t.book_id AND e.target_seq = t.seq
) AS later
WHERE c.kind = 'transaction' AND wanted.index < c.transfer_count;

-- name: load_holds :many
SELECT h.book_id, h.hold_id, h.owner_id, h.currency, h.credit_account_id, h.target_minor, h.expires_at, h.reason,
    h.created_at, h.state, h.reverse_born_held, h.ended_at
FROM unnest($1::smallint[], $2::uuid[]) AS wanted (book_id, hold_id)
JOIN holds AS h USING (book_id, hold_id);

-- name: load_hold_parts :many
-- In burn order, as it was when the hold was made.
SELECT p.book_id, p.hold_id, p.grant_id, p.held_minor, p.captured_minor, p.refunded_minor
FROM unnest($1::smallint[], $2::uuid[]) AS wanted (book_id, hold_id)
JOIN hold_parts AS p USING (book_id, hold_id)
ORDER BY p.book_id, p.hold_id, p.position;

-- name: load_grants :many
SELECT g.book_id, g.grant_id, g.account_id, g.owner_id, g.currency, g.category, g.priority, g.amount_minor,
    g.source_account_id, g.hold_id, g.effective_at, g.expires_at, g.created_at, g.state, g.expired_minor,
    g.revoked_minor, g.revoked_held_minor, g.empty_since
FROM unnest($1::smallint[], $2::uuid[]) AS wanted (book_id, grant_id)
JOIN grants AS g USING (book_id, grant_id);

-- name: load_wallet_grants :many
-- Grants with something left to hold, found among those that are not empty. What else of a wallet can become free
-- within the group comes by its hold.
SELECT g.book_id, g.grant_id, g.account_id, g.owner_id, g.currency, g.category, g.priority, g.amount_minor,
    g.source_account_id, g.hold_id, g.effective_at, g.expires_at, g.created_at, g.state, g.expired_minor,
    g.revoked_minor, g.revoked_held_minor, g.empty_since
FROM unnest($1::smallint[], $2::uuid[], $3::text[]) AS wanted (book_id, owner_id, currency)
JOIN grants AS g USING (book_id, owner_id, currency)
JOIN accounts AS a USING (book_id, account_id)
WHERE g.empty_since IS NULL AND a.posted_minor > a.held_minor;

-- name: load_accounts_by_code :many
SELECT a.book_id, a.account_id, a.code, a.currency, a.owner_id, a.floor_minor, a.posted_minor, a.held_minor,
    a.closed_at
FROM unnest($1::smallint[], $2::text[], $3::text[]) AS wanted (book_id, code, currency)
CROSS JOIN LATERAL (
    SELECT * FROM accounts WHERE book_id = wanted.book_id AND code = wanted.code AND currency = wanted.currency LIMIT 1
) AS a;

-- name: load_accounts :many
SELECT a.book_id, a.account_id, a.code, a.currency, a.owner_id, a.floor_minor, a.posted_minor, a.held_minor,
    a.closed_at
FROM unnest($1::smallint[], $2::bigint[]) AS wanted (book_id, account_id)
CROSS JOIN LATERAL (
    SELECT * FROM accounts WHERE book_id = wanted.book_id AND account_id = wanted.account_id LIMIT 1
) AS a;

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

-- name: update_closings :exec
UPDATE accounts AS a SET closed_at = changed.closed_at
FROM unnest($1::smallint[], $2::bigint[], $3::timestamptz[]) AS changed (book_id, account_id, closed_at)
WHERE a.book_id = changed.book_id AND a.account_id = changed.account_id;

-- name: insert_transaction_metadata :exec
INSERT INTO transaction_metadata (book_id, key, value, first_seq, transaction_id)
SELECT * FROM unnest($1::smallint[], $2::text[], $3::text[], $4::bigint[], $5::uuid[]);

-- name: write_plain :exec
-- All that a small group of plain transactions changes, in one round trip.
WITH made AS (
    INSERT INTO commands
        (kind, state, book_id, command_id, owner_id, currency, fingerprint, first_seq, transfer_count, created_at, reason)
    SELECT 'transaction', 'done', made.*
    FROM unnest($1::smallint[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::bigint[], $7::integer[],
        $8::timestamptz[], $9::text[]) AS made
), moved AS (
    INSERT INTO transfers
        (book_id, seq, transaction_id, kind, debit_account_id, credit_account_id, amount_minor, debit_posted_minor,
        debit_held_minor, credit_posted_minor, credit_held_minor, reason, created_at, target_seq)
    SELECT * FROM unnest($10::smallint[], $11::bigint[], $12::uuid[], $13::text[], $14::bigint[], $15::bigint[],
        $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::text[], $22::timestamptz[],
        $23::bigint[])
), counted AS (
    UPDATE books AS b SET next_seq = c.next_seq, next_account_id = c.next_account_id, last_at = c.last_at,
        stamp = c.stamp
    FROM unnest($24::smallint[], $25::bigint[], $26::bigint[], $27::timestamptz[], $28::bigint[])
        AS c (book_id, next_seq, next_account_id, last_at, stamp)
    WHERE b.book_id = c.book_id
)
UPDATE accounts AS a SET posted_minor = s.posted_minor, held_minor = s.held_minor
FROM unnest($29::smallint[], $30::bigint[], $31::bigint[], $32::bigint[])
    AS s (book_id, account_id, posted_minor, held_minor)
WHERE a.book_id = s.book_id AND a.account_id = s.account_id;

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
    effective_at, expires_at, created_at, state, expired_minor, revoked_minor, revoked_held_minor, empty_since)
SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::text[], $7::integer[],
    $8::bigint[], $9::bigint[], $10::uuid[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::text[],
    $15::bigint[], $16::bigint[], $17::bigint[], $18::timestamptz[]);

-- name: update_grants :exec
UPDATE grants AS g SET state = changed.state, expired_minor = changed.expired_minor,
    revoked_minor = changed.revoked_minor, revoked_held_minor = changed.revoked_held_minor,
    empty_since = changed.empty_since
FROM unnest($1::smallint[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[])
    AS changed (book_id, grant_id, state, expired_minor, revoked_minor, revoked_held_minor, empty_since)
WHERE g.book_id = changed.book_id AND g.grant_id = changed.grant_id;

-- name: insert_hold_parts :exec
INSERT INTO hold_parts (book_id, hold_id, position, grant_id, held_minor, captured_minor, refunded_minor)
SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::integer[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[]);

-- name: update_hold_parts :exec
UPDATE hold_parts AS p SET captured_minor = spent.captured_minor, refunded_minor = spent.refunded_minor
FROM unnest($1::smallint[], $2::uuid[], $3::integer[], $4::bigint[], $5::bigint[])
    AS spent (book_id, hold_id, position, captured_minor, refunded_minor)
WHERE p.book_id = spent.book_id AND p.hold_id = spent.hold_id AND p.position = spent.position;

-- name: insert_refunds :exec
INSERT INTO refunds (book_id, refund_id, hold_id, amount_minor, grace_days, reason, created_at)
SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::uuid[], $4::bigint[], $5::integer[], $6::text[],
    $7::timestamptz[]);

-- name: insert_refund_parts :exec
INSERT INTO refund_parts (book_id, refund_id, position, grant_id, amount_minor, returned_to_grant_id)
SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::integer[], $4::uuid[], $5::bigint[], $6::uuid[]);

-- name: insert_transfer_expiries :exec
INSERT INTO transfer_expiries (book_id, seq, transaction_id, expires_at, ended_at)
SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::uuid[], $4::timestamptz[], $5::timestamptz[]);

-- name: update_transfer_expiries :exec
UPDATE transfer_expiries AS x SET ended_at = ended.ended_at
FROM unnest($1::smallint[], $2::bigint[], $3::timestamptz[]) AS ended (book_id, seq, ended_at)
WHERE x.book_id = ended.book_id AND x.seq = ended.seq;

-- name: load_refunds :many
-- The first answers of refunds that came before.
SELECT r.book_id, r.refund_id, r.hold_id, r.amount_minor, r.grace_days, r.reason, r.created_at,
    array_agg(p.grant_id ORDER BY p.position) AS grant_ids,
    array_agg(p.amount_minor ORDER BY p.position) AS amounts_minor,
    array_agg(p.returned_to_grant_id ORDER BY p.position) AS returned_to
FROM unnest($1::smallint[], $2::uuid[]) AS wanted (book_id, refund_id)
JOIN refunds AS r USING (book_id, refund_id)
JOIN refund_parts AS p USING (book_id, refund_id)
GROUP BY r.book_id, r.refund_id;

-- name: find_expired_holds :many
-- Of some books the next few behind a place in each, by their index alone; nothing is locked, the command looks again
-- under the lock. Place by place, so that what cannot be ended does not keep what comes after it. The statement's own
-- time can be looked up in the index; the clock's, which moves on, would have all that is to come read each time.
SELECT h.book_id, h.expires_at, h.hold_id AS id, h.owner_id, h.currency
FROM unnest($1::smallint[], $2::timestamptz[], $3::uuid[]) AS after (book_id, expires_at, id)
CROSS JOIN LATERAL (
    SELECT book_id, expires_at, hold_id, owner_id, currency FROM holds
    WHERE book_id = after.book_id AND state = 'held' AND expires_at <= statement_timestamp()
        AND (expires_at, hold_id) > (after.expires_at, after.id)
    ORDER BY expires_at, hold_id LIMIT $4
) AS h
ORDER BY h.book_id, h.expires_at, h.hold_id;

-- name: find_expired_transfers :many
-- Like find_expired_holds, of transactions' holds; their id is the sequence. The command says where they stand.
SELECT x.book_id, x.expires_at, x.seq AS id, c.owner_id, c.currency, x.transaction_id,
    (x.seq - c.first_seq)::integer AS position
FROM unnest($1::smallint[], $2::timestamptz[], $3::bigint[]) AS after (book_id, expires_at, id)
CROSS JOIN LATERAL (
    SELECT book_id, expires_at, seq, transaction_id FROM transfer_expiries
    WHERE book_id = after.book_id AND ended_at IS NULL AND expires_at <= statement_timestamp()
        AND (expires_at, seq) > (after.expires_at, after.id)
    ORDER BY expires_at, seq LIMIT $4
) AS x
JOIN commands AS c ON c.book_id = x.book_id AND c.command_id = x.transaction_id
ORDER BY x.book_id, x.expires_at, x.seq;

-- name: find_expired_grants :many
-- Like find_expired_holds.
SELECT g.book_id, g.expires_at, g.grant_id AS id, g.owner_id, g.currency
FROM unnest($1::smallint[], $2::timestamptz[], $3::uuid[]) AS after (book_id, expires_at, id)
CROSS JOIN LATERAL (
    SELECT book_id, expires_at, grant_id, owner_id, currency FROM grants
    WHERE book_id = after.book_id AND state = 'live' AND empty_since IS NULL AND expires_at <= statement_timestamp()
        AND (expires_at, grant_id) > (after.expires_at, after.id)
    ORDER BY expires_at, grant_id LIMIT $4
) AS g
ORDER BY g.book_id, g.expires_at, g.grant_id;

-- name: update_books :exec
UPDATE books AS b SET next_seq = moved.next_seq, next_account_id = moved.next_account_id, last_at = moved.last_at,
    stamp = moved.stamp
FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::bigint[])
    AS moved (book_id, next_seq, next_account_id, last_at, stamp)
WHERE b.book_id = moved.book_id;

-- name: read_wallet :many
-- One statement, so that balances and time are of one moment. The book's row is there also for an empty wallet. However
-- many grants are spent, only those with something left are looked at.
SELECT greatest(clock_timestamp(), b.last_at) AS now, g.grant_id, g.amount_minor, g.category, g.priority,
    g.effective_at, g.expires_at, g.created_at, a.posted_minor, a.held_minor, s.code AS source_code
FROM books AS b
LEFT JOIN (grants AS g
    JOIN accounts AS a ON a.book_id = g.book_id AND a.account_id = g.account_id
    JOIN accounts AS s ON s.book_id = g.book_id AND s.account_id = g.source_account_id)
    ON g.book_id = b.book_id AND g.owner_id = $2 AND g.currency = $3 AND g.empty_since IS NULL
WHERE b.book_id = $1;

-- name: find_seq_at :one
-- The last transfer at or before a moment, 0 when there was none. A book's time never runs backwards and its sequence
-- has no gaps, so that halving finds it in a few dozen steps by the primary key. Without a moment: the last of all.
WITH RECURSIVE search (low, high) AS (
    SELECT CASE WHEN $2::timestamptz IS NULL THEN next_seq - 1 ELSE 0 END, next_seq - 1 FROM books WHERE book_id = $1
    UNION ALL
    SELECT CASE WHEN t.created_at <= $2 THEN s.middle ELSE s.low END,
        CASE WHEN t.created_at <= $2 THEN s.high ELSE s.middle - 1 END
    FROM (SELECT low, high, (low + high + 1) / 2 AS middle FROM search WHERE low < high) AS s
    JOIN transfers AS t ON t.book_id = $1 AND t.seq = s.middle
)
SELECT low AS seq, clock_timestamp() AS now FROM search WHERE low >= high;

-- name: read_wallet_at :many
-- Each grant with the sums that the last transfer at or before a sequence left in it. A grant that has been empty since
-- before the moment is not looked at.
WITH candidates AS (
    SELECT * FROM grants
    WHERE book_id = $1 AND owner_id = $2 AND currency = $3 AND empty_since IS NULL AND created_at <= $4
    UNION ALL
    SELECT * FROM grants
    WHERE book_id = $1 AND owner_id = $2 AND currency = $3 AND empty_since > $4 AND created_at <= $4
)
SELECT g.grant_id, g.amount_minor, g.category, g.priority, g.effective_at, g.expires_at, g.created_at,
    last.posted_minor, last.held_minor, s.code AS source_code
FROM candidates AS g
JOIN accounts AS s ON s.book_id = g.book_id AND s.account_id = g.source_account_id
CROSS JOIN LATERAL (
    (SELECT seq, debit_posted_minor AS posted_minor, debit_held_minor AS held_minor FROM transfers
    WHERE book_id = $1 AND debit_account_id = g.account_id AND seq <= $5 ORDER BY seq DESC LIMIT 1)
    UNION ALL
    (SELECT seq, credit_posted_minor, credit_held_minor FROM transfers
    WHERE book_id = $1 AND credit_account_id = g.account_id AND seq <= $5 ORDER BY seq DESC LIMIT 1)
    ORDER BY seq DESC LIMIT 1
) AS last
WHERE last.posted_minor > 0;

-- name: find_statement_grants :many
-- Every grant that had something in it at some moment of a span.
SELECT account_id, grant_id FROM grants
WHERE book_id = $1 AND owner_id = $2 AND currency = $3 AND empty_since IS NULL AND created_at <= $5
UNION ALL
SELECT account_id, grant_id FROM grants
WHERE book_id = $1 AND owner_id = $2 AND currency = $3 AND empty_since > $4 AND created_at <= $5;

-- name: sum_balances_at :many
-- What some accounts had together after each of some sequences, from their running sums.
SELECT at.seq, coalesce(sum(last.posted_minor), 0)::bigint AS balance_minor
FROM unnest($2::bigint[]) AS listed (account_id)
CROSS JOIN unnest($3::bigint[]) AS at (seq)
LEFT JOIN LATERAL (
    (SELECT seq, debit_posted_minor AS posted_minor FROM transfers
    WHERE book_id = $1 AND debit_account_id = listed.account_id AND transfers.seq <= at.seq ORDER BY seq DESC LIMIT 1)
    UNION ALL
    (SELECT seq, credit_posted_minor FROM transfers
    WHERE book_id = $1 AND credit_account_id = listed.account_id AND transfers.seq <= at.seq ORDER BY seq DESC LIMIT 1)
    ORDER BY seq DESC LIMIT 1
) AS last ON true
GROUP BY at.seq;

-- name: list_statement :many
-- The oldest entries above a sequence that changed what some accounts had: of each account one page from each side's
-- index, at most.
WITH page AS (
    SELECT side.seq, listed.account_id, side.sign
    FROM unnest($2::bigint[]) AS listed (account_id)
    CROSS JOIN LATERAL (
        (SELECT seq, -1 AS sign FROM transfers
        WHERE book_id = $1 AND debit_account_id = listed.account_id AND seq > $3 AND seq <= $4
            AND kind NOT IN ('hold', 'release') ORDER BY seq LIMIT $5)
        UNION ALL
        (SELECT seq, 1 FROM transfers
        WHERE book_id = $1 AND credit_account_id = listed.account_id AND seq > $3 AND seq <= $4
            AND kind NOT IN ('hold', 'release') ORDER BY seq LIMIT $5)
    ) AS side
    ORDER BY side.seq LIMIT $5
)
SELECT t.seq, t.transaction_id, t.kind, g.grant_id, a.code AS counter_code, page.sign * t.amount_minor AS change_minor,
    t.reason, t.created_at
FROM page
JOIN transfers AS t ON t.book_id = $1 AND t.seq = page.seq
JOIN grants AS g ON g.book_id = $1 AND g.account_id = page.account_id
JOIN accounts AS a ON a.book_id = $1
    AND a.account_id = CASE page.sign WHEN 1 THEN t.debit_account_id ELSE t.credit_account_id END
ORDER BY t.seq;

-- name: find_wallet_accounts :many
-- The accounts that the newest so many transfers of a wallet below a sequence are of, however many grants it had: those
-- with something in them at that moment, and of those empty by then the ones emptied last. Nothing happens to an empty
-- grant, and the transfer that emptied it stands at that very moment, so that as many grants give as many transfers.
WITH moment AS MATERIALIZED (
    SELECT coalesce((SELECT created_at FROM transfers WHERE book_id = $1 AND seq = $4::bigint - 1), 'infinity') AS at
)
SELECT account_id FROM grants, moment
WHERE book_id = $1 AND currency = $2 AND owner_id = $3 AND empty_since IS NULL AND created_at <= moment.at
UNION ALL
SELECT account_id FROM grants, moment
WHERE book_id = $1 AND currency = $2 AND owner_id = $3 AND empty_since >= moment.at AND created_at <= moment.at
UNION ALL
(SELECT account_id FROM grants, moment
WHERE book_id = $1 AND currency = $2 AND owner_id = $3 AND empty_since < moment.at
ORDER BY empty_since DESC FETCH FIRST ($5::bigint) ROWS WITH TIES);

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
    t.target_seq, debit.code AS debit_code, credit.code AS credit_code, debit.currency, x.expires_at
FROM page
JOIN transfers AS t ON t.book_id = $1 AND t.seq = page.seq
JOIN accounts AS debit ON debit.book_id = $1 AND debit.account_id = t.debit_account_id
JOIN accounts AS credit ON credit.book_id = $1 AND credit.account_id = t.credit_account_id
LEFT JOIN transfer_expiries AS x ON x.book_id = $1 AND x.seq = t.seq
ORDER BY t.seq DESC;

-- name: read_transaction :one
SELECT command_id, owner_id, currency, reason, metadata, first_seq, transfer_count, created_at
FROM commands WHERE book_id = $1 AND command_id = $2 AND kind = 'transaction';

-- name: list_transfers_of :many
-- The transfers of one transaction.
SELECT t.book_id, t.seq, t.transaction_id, t.kind, t.debit_account_id, t.credit_account_id, t.amount_minor,
    t.debit_posted_minor, t.debit_held_minor, t.credit_posted_minor, t.credit_held_minor, t.reason, t.created_at,
    t.target_seq, debit.code AS debit_code, credit.code AS credit_code, debit.currency, x.expires_at
FROM transfers AS t
JOIN accounts AS debit ON debit.book_id = $1 AND debit.account_id = t.debit_account_id
JOIN accounts AS credit ON credit.book_id = $1 AND credit.account_id = t.credit_account_id
LEFT JOIN transfer_expiries AS x ON x.book_id = $1 AND x.seq = t.seq
WHERE t.book_id = $1 AND t.seq >= $2 AND t.seq < $2 + $3::integer
ORDER BY t.seq;

-- name: list_transactions :many
-- With no condition but time: the book itself backwards.
SELECT c.command_id, c.owner_id, c.currency, c.reason, c.metadata, c.first_seq, c.transfer_count, c.created_at
FROM transfers AS t
JOIN commands AS c ON c.book_id = $1 AND c.command_id = t.transaction_id AND c.first_seq = t.seq
WHERE t.book_id = $1 AND t.seq >= $3 AND t.seq < $4 AND c.kind = 'transaction' AND c.currency = $2
ORDER BY t.seq DESC LIMIT $5;

-- name: list_transactions_by_reason :many
SELECT c.command_id, c.owner_id, c.currency, c.reason, c.metadata, c.first_seq, c.transfer_count, c.created_at
FROM commands AS c
WHERE c.book_id = $1 AND c.reason = $6 AND c.first_seq >= $3 AND c.first_seq < $4 AND c.kind = 'transaction'
    AND c.currency = $2
ORDER BY c.first_seq DESC LIMIT $5;

-- name: list_transactions_by_metadata :many
-- The account, where one is asked for, is looked for among the few that have this entry.
SELECT c.command_id, c.owner_id, c.currency, c.reason, c.metadata, c.first_seq, c.transfer_count, c.created_at
FROM transaction_metadata AS m
JOIN commands AS c ON c.book_id = $1 AND c.command_id = m.transaction_id
WHERE m.book_id = $1 AND m.key = $7 AND m.value = $8 AND m.first_seq >= $3 AND m.first_seq < $4 AND c.currency = $2
    AND ($6 = '' OR c.reason = $6)
    AND ($9::bigint IS NULL OR EXISTS (
        SELECT FROM transfers AS t
        WHERE t.book_id = $1 AND t.seq >= c.first_seq AND t.seq < c.first_seq + c.transfer_count
            AND $9 IN (t.debit_account_id, t.credit_account_id)))
ORDER BY m.first_seq DESC LIMIT $5;

-- name: list_transactions_by_account :many
-- Step by step down the account's two indexes, from transaction to transaction, until there are enough: however many
-- the account has, and however many of its transfers one transaction made.
WITH RECURSIVE walk AS (
    SELECT $4::bigint AS below_seq, NULL::uuid AS command_id, 0 AS found
    UNION ALL
    SELECT coalesce(c.first_seq, step.seq), CASE WHEN c.fits THEN c.command_id END,
        walk.found + CASE WHEN c.fits THEN 1 ELSE 0 END
    FROM walk
    CROSS JOIN LATERAL (
        (SELECT seq, transaction_id FROM transfers
        WHERE book_id = $1 AND debit_account_id = $7 AND seq >= $3 AND seq < walk.below_seq ORDER BY seq DESC LIMIT 1)
        UNION ALL
        (SELECT seq, transaction_id FROM transfers
        WHERE book_id = $1 AND credit_account_id = $7 AND seq >= $3 AND seq < walk.below_seq ORDER BY seq DESC LIMIT 1)
        ORDER BY seq DESC LIMIT 1
    ) AS step
    LEFT JOIN LATERAL (
        SELECT command_id, first_seq, $6 = '' OR reason = $6 AS fits FROM commands
        WHERE book_id = $1 AND command_id = step.transaction_id AND kind = 'transaction' AND currency = $2 LIMIT 1
    ) AS c ON true
    WHERE walk.found < $5
)
SELECT c.command_id, c.owner_id, c.currency, c.reason, c.metadata, c.first_seq, c.transfer_count, c.created_at
FROM walk JOIN commands AS c ON c.book_id = $1 AND c.command_id = walk.command_id
ORDER BY c.first_seq DESC;

-- name: read_account :one
SELECT code, currency, posted_minor, held_minor, floor_minor, created_at, closed_at
FROM accounts WHERE book_id = $1 AND code = $2 AND currency = $3;

-- name: read_balances :many
-- In the order asked, nothing for accounts that are not there; one statement, so that all sums are of one moment.
SELECT a.posted_minor, a.held_minor
FROM unnest($1::smallint[], $2::text[], $3::text[]) WITH ORDINALITY AS wanted (book_id, code, currency, position)
LEFT JOIN LATERAL (
    SELECT * FROM accounts WHERE book_id = wanted.book_id AND code = wanted.code AND currency = wanted.currency LIMIT 1
) AS a ON true
ORDER BY wanted.position;

-- name: list_books :many
SELECT book_id, next_seq FROM books ORDER BY book_id;

-- name: read_next_seq :one
SELECT next_seq FROM books WHERE book_id = $1;

-- name: walk_transfers :many
-- One page of a book in order, for seals and verifications: with each transfer when it expires, and with the first of a
-- command what the command says. Looked up one by one: a join with tables of that size would read them for each page.
WITH page AS MATERIALIZED (
    SELECT book_id, seq, transaction_id, kind, debit_account_id, credit_account_id, amount_minor, debit_posted_minor,
        debit_held_minor, credit_posted_minor, credit_held_minor, target_seq, reason, created_at
    FROM transfers WHERE book_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4
)
SELECT page.*, x.expires_at, c.kind AS command_kind, c.owner_id, c.currency, c.fingerprint, c.metadata
FROM page
LEFT JOIN LATERAL (
    SELECT expires_at FROM transfer_expiries WHERE book_id = $1 AND seq = page.seq AND page.kind = 'hold' LIMIT 1
) AS x ON true
LEFT JOIN LATERAL (
    SELECT kind, owner_id, currency, fingerprint, metadata FROM commands
    WHERE book_id = $1 AND command_id = page.transaction_id AND first_seq = page.seq LIMIT 1
) AS c ON true
ORDER BY page.seq;

-- name: walk_accounts :many
SELECT account_id, code, currency, floor_minor, posted_minor, held_minor
FROM accounts WHERE book_id = $1 AND account_id > $2 ORDER BY account_id LIMIT $3;

-- name: walk_seals :many
SELECT book_id, from_seq, to_seq, sha256, previous_sha256
FROM seals WHERE book_id = $1 AND from_seq > $2 AND from_seq <= $3 ORDER BY from_seq LIMIT $4;

-- name: newest_seal :one
SELECT book_id, from_seq, to_seq, sha256, previous_sha256
FROM seals WHERE book_id = $1 ORDER BY from_seq DESC LIMIT 1;

-- name: insert_seal :exec
INSERT INTO seals (book_id, from_seq, to_seq, sha256, previous_sha256, sealed_at)
VALUES ($1, $2, $3, $4, $5, clock_timestamp());

-- name: verify_hold_differs_from_parts :many
-- Each of the verify_ statements finds rows of a book that must not exist, at most $2 of them, and says how many there
-- are in all. The order makes what is left out the same every time.
SELECT format('hold %s', h.hold_id) AS subject,
    format('held %s, captured %s', coalesce(sum(p.held_minor), 0), coalesce(sum(p.captured_minor), 0)) AS expected,
    format('held %s, captured %s', h.held_minor, h.captured_minor) AS found,
    count(*) OVER () AS total
FROM holds AS h LEFT JOIN hold_parts AS p USING (book_id, hold_id)
WHERE h.book_id = $1
GROUP BY h.book_id, h.hold_id
HAVING h.held_minor <> coalesce(sum(p.held_minor), 0) OR h.captured_minor <> coalesce(sum(p.captured_minor), 0)
ORDER BY h.hold_id LIMIT $2;

-- name: verify_hold_differs_from_command :many
SELECT format('hold %s, state', h.hold_id) AS subject,
    format('one that goes with command state %s', c.state) AS expected,
    h.state AS found, count(*) OVER () AS total
FROM holds AS h JOIN commands AS c ON c.book_id = h.book_id AND c.command_id = h.hold_id
WHERE h.book_id = $1 AND c.kind = 'hold'
    AND c.state <> CASE h.state WHEN 'held' THEN 'live' WHEN 'captured' THEN 'done' ELSE 'undone' END
ORDER BY h.hold_id LIMIT $2;

-- name: verify_hold_differs_from_transfers :many
-- Whose it is, why, and when it ended: as its command and its transfers say.
SELECT format('hold %s, what its transfers say', h.hold_id) AS subject,
    concat_ws(', ', min(c.owner_id::text), min(c.currency), min(a.code), min(t.reason) FILTER (WHERE t.kind = 'hold'),
        min(t.created_at) FILTER (WHERE t.kind <> 'hold')) AS expected,
    concat_ws(', ', min(h.owner_id::text), min(h.currency), min(k.code), min(h.reason), min(h.ended_at)) AS found,
    count(*) OVER () AS total
FROM holds AS h
JOIN commands AS c ON c.book_id = h.book_id AND c.command_id = h.hold_id
LEFT JOIN transfers AS t
    ON t.book_id = h.book_id AND t.transaction_id = h.hold_id AND t.kind IN ('hold', 'capture', 'release')
LEFT JOIN accounts AS a ON a.book_id = t.book_id AND a.account_id = t.credit_account_id
LEFT JOIN accounts AS k ON k.book_id = h.book_id AND k.account_id = h.credit_account_id
WHERE h.book_id = $1 AND ((h.owner_id, h.currency) <> (c.owner_id, c.currency)
    OR t.credit_account_id <> h.credit_account_id
    OR t.kind = 'hold' AND t.reason <> h.reason
    OR t.kind <> 'hold' AND t.created_at IS DISTINCT FROM h.ended_at)
GROUP BY h.hold_id ORDER BY h.hold_id LIMIT $2;

-- name: verify_hold_part_differs :many
-- A part and the transfers that held, captured and released it; nothing is left of it once its hold has ended.
WITH moved AS (
    SELECT transaction_id AS hold_id, debit_account_id AS account_id,
        coalesce(sum(amount_minor) FILTER (WHERE kind = 'hold'), 0) AS held,
        coalesce(sum(amount_minor) FILTER (WHERE kind = 'capture'), 0) AS captured,
        coalesce(sum(amount_minor) FILTER (WHERE kind = 'release'), 0) AS released
    FROM transfers WHERE book_id = $1 AND kind IN ('hold', 'capture', 'release') GROUP BY 1, 2
)
SELECT format('hold %s, part %s', h.hold_id, p.position) AS subject,
    format('held %s, captured %s, left %s', coalesce(m.held, 0), coalesce(m.captured, 0),
        CASE h.state WHEN 'held' THEN p.held_minor ELSE 0 END) AS expected,
    format('held %s, captured %s, left %s', p.held_minor, p.captured_minor,
        coalesce(m.held - m.captured - m.released, 0)) AS found,
    count(*) OVER () AS total
FROM holds AS h
JOIN hold_parts AS p USING (book_id, hold_id)
JOIN grants AS g USING (book_id, grant_id)
LEFT JOIN moved AS m ON m.hold_id = h.hold_id AND m.account_id = g.account_id
WHERE h.book_id = $1 AND (
    p.held_minor IS DISTINCT FROM m.held OR p.captured_minor IS DISTINCT FROM m.captured
    OR m.held - m.captured - m.released <> CASE h.state WHEN 'held' THEN p.held_minor ELSE 0 END
)
ORDER BY h.hold_id, p.position LIMIT $2;

-- name: verify_hold_part_missing :many
-- Of customers' accounts; holds of transactions have no parts, their ends name the transfer that held.
SELECT format('hold %s, account %s', t.transaction_id, a.code) AS subject, 'a part of the hold' AS expected,
    format('transfer %s', min(t.seq)) AS found, count(*) OVER () AS total
FROM transfers AS t
JOIN accounts AS a ON a.book_id = t.book_id AND a.account_id = t.debit_account_id AND a.owner_id IS NOT NULL
LEFT JOIN grants AS g ON g.book_id = t.book_id AND g.account_id = t.debit_account_id
LEFT JOIN hold_parts AS p
    ON p.book_id = t.book_id AND p.hold_id = t.transaction_id AND p.grant_id = g.grant_id
WHERE t.book_id = $1 AND t.kind IN ('hold', 'capture', 'release') AND p.hold_id IS NULL
GROUP BY t.transaction_id, a.code
ORDER BY t.transaction_id, a.code LIMIT $2;

-- name: verify_hold_ended_wrongly :many
-- Holds of transactions: captures and releases name the transfer that held, and end it once, in full.
SELECT format('transfer %s', e.target_seq) AS subject,
    format('ends of %s in all, of a hold', coalesce(t.amount_minor, 0)) AS expected,
    format('ends of %s in all, of a %s', sum(e.amount_minor), coalesce(t.kind, 'transfer that is missing')) AS found,
    count(*) OVER () AS total
FROM transfers AS e LEFT JOIN transfers AS t ON t.book_id = e.book_id AND t.seq = e.target_seq
WHERE e.book_id = $1 AND e.target_seq IS NOT NULL AND e.kind IN ('capture', 'release')
GROUP BY e.target_seq, t.kind, t.amount_minor
HAVING t.kind IS DISTINCT FROM 'hold' OR sum(e.amount_minor) <> t.amount_minor
ORDER BY e.target_seq LIMIT $2;

-- name: verify_transfer_expiry_differs :many
-- What expires is a hold; it counts as ended when it is, and nothing expires before its time or without having one.
WITH ends AS (
    SELECT e.target_seq AS seq, min(e.created_at) AS ended_at,
        min(e.created_at) FILTER (WHERE c.kind = 'expiry') AS expired_at
    FROM transfers AS e LEFT JOIN commands AS c ON c.book_id = e.book_id AND c.command_id = e.transaction_id
    WHERE e.book_id = $1 AND e.target_seq IS NOT NULL AND e.kind IN ('capture', 'release') GROUP BY e.target_seq
)
SELECT format('transfer %s, expiry', coalesce(x.seq, e.seq)) AS subject,
    concat_ws(', ', 'a hold', coalesce('ended at ' || e.ended_at, 'not ended'),
        'not expired before ' || x.expires_at) AS expected,
    concat_ws(', ', 'a ' || coalesce(t.kind, 'transfer that is missing'),
        coalesce('ended at ' || x.ended_at, 'not ended'), 'expired at ' || e.expired_at) AS found,
    count(*) OVER () AS total
FROM (SELECT * FROM transfer_expiries WHERE book_id = $1) AS x
FULL JOIN ends AS e USING (seq)
LEFT JOIN transfers AS t ON t.book_id = $1 AND t.seq = x.seq AND t.transaction_id = x.transaction_id
WHERE x.seq IS NULL AND e.expired_at IS NOT NULL
    OR x.seq IS NOT NULL AND (t.kind IS DISTINCT FROM 'hold' OR x.ended_at IS DISTINCT FROM e.ended_at
        OR e.expired_at < x.expires_at)
ORDER BY coalesce(x.seq, e.seq) LIMIT $2;

-- name: verify_transfer_overreversed :many
-- Reversals by transactions name the transfer that they take back, and take back what it moved at most.
SELECT format('transfer %s', e.target_seq) AS subject,
    format('at most %s reversed, of what moved', coalesce(t.amount_minor, 0)) AS expected,
    format('%s reversed, of a %s', sum(e.amount_minor), coalesce(t.kind, 'transfer that is missing')) AS found,
    count(*) OVER () AS total
FROM transfers AS e LEFT JOIN transfers AS t ON t.book_id = e.book_id AND t.seq = e.target_seq
WHERE e.book_id = $1 AND e.target_seq IS NOT NULL AND e.kind = 'reversal'
GROUP BY e.target_seq, t.kind, t.amount_minor
HAVING coalesce(t.kind NOT IN ('posted', 'capture'), true) OR sum(e.amount_minor) > t.amount_minor
ORDER BY e.target_seq LIMIT $2;

-- name: verify_command_transfers_missing :many
SELECT format('command %s', c.command_id) AS subject, format('%s transfers', c.transfer_count) AS expected,
    format('%s transfers', count(t.seq)) AS found, count(*) OVER () AS total
FROM commands AS c
LEFT JOIN transfers AS t ON t.book_id = c.book_id AND t.transaction_id = c.command_id
    AND t.seq >= c.first_seq AND t.seq < c.first_seq + c.transfer_count
WHERE c.book_id = $1 AND c.transfer_count > 0
GROUP BY c.book_id, c.command_id HAVING c.transfer_count <> count(t.seq)
ORDER BY c.command_id LIMIT $2;

-- name: verify_transaction_differs :many
-- What a transaction says of itself is what its transfers say.
SELECT format('command %s, what its transfers say', c.command_id) AS subject,
    format('%s at %s in %s', min(t.reason), min(t.created_at), min(a.currency)) AS expected,
    format('%s at %s in %s', c.reason, c.created_at, c.currency) AS found, count(*) OVER () AS total
FROM commands AS c
JOIN transfers AS t ON t.book_id = c.book_id AND t.transaction_id = c.command_id
JOIN accounts AS a ON a.book_id = t.book_id AND a.account_id = t.debit_account_id
WHERE c.book_id = $1 AND c.kind = 'transaction'
    AND (t.reason, t.created_at, a.currency) IS DISTINCT FROM (c.reason, c.created_at, c.currency)
GROUP BY c.book_id, c.command_id ORDER BY c.command_id LIMIT $2;

-- name: verify_metadata_differs :many
-- What transactions are found by is what their metadata says.
WITH said AS (
    SELECT c.command_id AS transaction_id, c.first_seq, entry.key, entry.value
    FROM commands AS c
    CROSS JOIN jsonb_each_text(CASE jsonb_typeof(c.metadata) WHEN 'object' THEN c.metadata ELSE '{}' END) AS entry
    WHERE c.book_id = $1 AND c.metadata IS NOT NULL
)
SELECT format('command %s, metadata %s', transaction_id, key) AS subject,
    coalesce('"' || said.value || '"', 'nothing') AS expected,
    coalesce('to be found by "' || m.value || '"', 'not to be found') AS found, count(*) OVER () AS total
FROM said
FULL JOIN (SELECT * FROM transaction_metadata WHERE book_id = $1) AS m USING (transaction_id, first_seq, key, value)
WHERE said.value IS NULL OR m.value IS NULL
ORDER BY transaction_id, key, said.value, m.value LIMIT $2;

-- name: verify_command_missing :many
WITH belonging AS (
    SELECT transaction_id AS id, format('transfer %s', min(seq)) AS what
    FROM transfers WHERE book_id = $1 GROUP BY transaction_id
    UNION ALL SELECT hold_id, 'a hold' FROM holds WHERE book_id = $1
    UNION ALL SELECT grant_id, 'a grant' FROM grants WHERE book_id = $1
    UNION ALL SELECT refund_id, 'a refund' FROM refunds WHERE book_id = $1
)
SELECT format('command %s', b.id) AS subject, 'a command' AS expected, format('only %s', b.what) AS found,
    count(*) OVER () AS total
FROM belonging AS b
WHERE NOT EXISTS (SELECT FROM commands AS c WHERE c.book_id = $1 AND c.command_id = b.id)
ORDER BY b.id, b.what LIMIT $2;

-- name: verify_command_differs :many
-- A command that is no tombstone has the row of what it made, and only that one.
SELECT format('command %s', c.command_id) AS subject, format('a %s, %s', c.kind, c.state) AS expected,
    coalesce(nullif(concat_ws(' and ', CASE WHEN h.hold_id IS NOT NULL THEN 'a hold' END,
        CASE WHEN g.grant_id IS NOT NULL THEN 'a grant' END,
        CASE WHEN r.refund_id IS NOT NULL THEN 'a refund' END), ''), 'no hold, grant or refund') AS found,
    count(*) OVER () AS total
FROM commands AS c
LEFT JOIN holds AS h ON h.book_id = c.book_id AND h.hold_id = c.command_id
LEFT JOIN grants AS g ON g.book_id = c.book_id AND g.grant_id = c.command_id
LEFT JOIN refunds AS r ON r.book_id = c.book_id AND r.refund_id = c.command_id
WHERE c.book_id = $1 AND (
    (h.hold_id IS NOT NULL) <> (c.kind = 'hold' AND c.state <> 'tombstone')
    OR (g.grant_id IS NOT NULL) <> (c.kind = 'grant' AND c.state <> 'tombstone')
    OR (r.refund_id IS NOT NULL) <> (c.kind = 'refund')
)
ORDER BY c.command_id LIMIT $2;

-- name: verify_grant_differs :many
-- What a grant says it gave is what its source posted to its account under its id, and it is revoked when its command
-- says so.
SELECT format('grant %s', g.grant_id) AS subject,
    format('%s given, %s', coalesce(sum(t.amount_minor), 0),
        CASE c.state WHEN 'undone' THEN 'revoked' ELSE 'not revoked' END) AS expected,
    format('%s given, %s', g.amount_minor, g.state) AS found, count(*) OVER () AS total
FROM grants AS g
LEFT JOIN commands AS c ON c.book_id = g.book_id AND c.command_id = g.grant_id
LEFT JOIN transfers AS t ON t.book_id = g.book_id AND t.transaction_id = g.grant_id AND t.kind = 'posted'
    AND t.credit_account_id = g.account_id AND t.debit_account_id = g.source_account_id AND t.created_at = g.created_at
WHERE g.book_id = $1
GROUP BY g.grant_id, g.amount_minor, g.state, c.state
HAVING g.amount_minor <> coalesce(sum(t.amount_minor), 0) OR (g.state = 'revoked') <> (c.state = 'undone')
ORDER BY g.grant_id LIMIT $2;

-- name: verify_grant_account_differs :many
-- A grant's account is its own, and its owner's.
SELECT format('grant %s, account', g.grant_id) AS subject,
    format('grant:%s %s of %s', g.grant_id, c.currency, c.owner_id) AS expected,
    concat_ws(' ', coalesce(a.code, 'no account'), g.currency, a.currency, 'of', g.owner_id, a.owner_id) AS found,
    count(*) OVER () AS total
FROM grants AS g
JOIN commands AS c ON c.book_id = g.book_id AND c.command_id = g.grant_id
LEFT JOIN accounts AS a ON a.book_id = g.book_id AND a.account_id = g.account_id
WHERE g.book_id = $1 AND ((g.owner_id, g.currency) <> (c.owner_id, c.currency)
    OR (a.code, a.owner_id, a.currency) IS DISTINCT FROM ('grant:' || g.grant_id, c.owner_id, c.currency))
ORDER BY g.grant_id LIMIT $2;

-- name: verify_grant_end_differs :many
-- What has expired of a grant is what went to breakage, at most once by an expiry and not before its time; what is
-- revoked was reversed; nothing is free in one that is closed.
WITH gone AS (
    SELECT t.debit_account_id AS account_id, sum(t.amount_minor) AS minor,
        count(*) FILTER (WHERE c.kind = 'expiry') AS expiries
    FROM transfers AS t
    JOIN accounts AS b ON b.book_id = t.book_id AND b.account_id = t.credit_account_id AND b.code = 'breakage'
    LEFT JOIN commands AS c ON c.book_id = t.book_id AND c.command_id = t.transaction_id
    WHERE t.book_id = $1 AND t.kind = 'posted' GROUP BY t.debit_account_id
), taken AS (
    SELECT transaction_id AS grant_id, sum(amount_minor) AS minor
    FROM transfers WHERE book_id = $1 AND kind = 'reversal' AND target_seq IS NULL GROUP BY transaction_id
)
SELECT format('grant %s, end', g.grant_id) AS subject,
    format('%s expired by %s expiries, %s reversed, %s free', coalesce(gone.minor, 0), coalesce(gone.expiries, 0),
        coalesce(taken.minor, 0), a.posted_minor - a.held_minor) AS expected,
    format('%s, %s expired, %s reversed at first', g.state, g.expired_minor, coalesce(g.revoked_minor, 0)) AS found,
    count(*) OVER () AS total
FROM grants AS g
JOIN accounts AS a ON a.book_id = g.book_id AND a.account_id = g.account_id
JOIN books AS b ON b.book_id = g.book_id
LEFT JOIN gone ON gone.account_id = g.account_id
LEFT JOIN taken ON taken.grant_id = g.grant_id
WHERE g.book_id = $1 AND (
    g.expired_minor <> coalesce(gone.minor, 0) OR gone.expiries > 1 OR gone.expiries > 0 AND g.state = 'live'
    OR g.state = 'expired' AND coalesce(g.expires_at > b.last_at, true)
    OR coalesce(g.revoked_minor, 0) > coalesce(taken.minor, 0) OR taken.minor > 0 AND g.state <> 'revoked'
    OR g.state <> 'live' AND a.posted_minor <> a.held_minor
)
ORDER BY g.grant_id LIMIT $2;

-- name: verify_grant_revocation_differs :many
-- What was held at a revocation is what the first transfer that took credits back says; with none free there was none.
SELECT format('grant %s, revocation', g.grant_id) AS subject, format('%s held', t.debit_held_minor) AS expected,
    format('%s held', g.revoked_held_minor) AS found, count(*) OVER () AS total
FROM grants AS g
JOIN LATERAL (
    SELECT debit_held_minor FROM transfers
    WHERE book_id = g.book_id AND debit_account_id = g.account_id AND kind = 'reversal' AND transaction_id = g.grant_id
    ORDER BY seq LIMIT 1
) AS t ON true
WHERE g.book_id = $1 AND g.revoked_minor > g.expired_minor AND g.revoked_held_minor <> t.debit_held_minor
ORDER BY g.grant_id LIMIT $2;

-- name: verify_grant_sibling_differs :many
-- A grant that a refund opened in place of an expired one is of its kind, and lives as long as the refund says.
SELECT format('grant %s, in place of %s', g.grant_id, o.grant_id) AS subject,
    concat_ws(' ', o.category, o.priority, g.created_at, g.created_at + make_interval(hours => 24 * r.grace_days))
        AS expected,
    concat_ws(' ', g.category, g.priority, g.effective_at, g.expires_at) AS found, count(*) OVER () AS total
FROM refund_parts AS p
JOIN refunds AS r ON r.book_id = p.book_id AND r.refund_id = p.refund_id
JOIN grants AS o ON o.book_id = p.book_id AND o.grant_id = p.grant_id
JOIN grants AS g ON g.book_id = p.book_id AND g.grant_id = p.returned_to_grant_id
WHERE p.book_id = $1 AND p.returned_to_grant_id <> p.grant_id
    AND (g.category, g.priority, g.effective_at, g.expires_at) IS DISTINCT FROM
        (o.category, o.priority, g.created_at, g.created_at + make_interval(hours => 24 * r.grace_days))
ORDER BY g.grant_id LIMIT $2;

-- name: walk_asked_grants :many
-- Grants asked for by themselves: neither born held nor opened by a refund.
SELECT format('grant %s', g.grant_id) AS subject, c.owner_id, c.currency, c.fingerprint, t.reason,
    ROW(g.grant_id, g.amount_minor, g.category, g.priority, g.expires_at, a.code, g.effective_at, g.created_at) AS asked
FROM grants AS g
JOIN commands AS c ON c.book_id = g.book_id AND c.command_id = g.grant_id
JOIN transfers AS t ON t.book_id = g.book_id AND t.seq = c.first_seq
JOIN accounts AS a ON a.book_id = g.book_id AND a.account_id = g.source_account_id
WHERE g.book_id = $1 AND g.hold_id IS NULL AND NOT EXISTS (
    SELECT FROM refund_parts AS p
    WHERE p.book_id = g.book_id AND p.returned_to_grant_id = g.grant_id AND p.grant_id <> g.grant_id
);

-- name: walk_asked_holds :many
SELECT format('hold %s', h.hold_id) AS subject, c.owner_id, c.currency, c.fingerprint, h.reason, h.target_minor,
    a.code AS credit_code, h.expires_at,
    ARRAY(
        SELECT ROW(g.grant_id, g.amount_minor, g.category, g.priority, g.expires_at, source.code, g.effective_at,
            g.created_at)
        FROM hold_parts AS p
        JOIN grants AS g ON g.book_id = p.book_id AND g.grant_id = p.grant_id AND g.hold_id = p.hold_id
        JOIN commands AS given ON given.book_id = g.book_id AND given.command_id = g.grant_id
        JOIN accounts AS source ON source.book_id = g.book_id AND source.account_id = g.source_account_id
        WHERE p.book_id = h.book_id AND p.hold_id = h.hold_id ORDER BY given.first_seq
    ) AS born_held
FROM holds AS h
JOIN commands AS c ON c.book_id = h.book_id AND c.command_id = h.hold_id
JOIN accounts AS a ON a.book_id = h.book_id AND a.account_id = h.credit_account_id
WHERE h.book_id = $1;

-- name: walk_asked_refunds :many
SELECT format('refund %s', r.refund_id) AS subject, c.owner_id, c.currency, c.fingerprint, r.reason, r.hold_id,
    r.amount_minor, r.grace_days
FROM refunds AS r
JOIN commands AS c ON c.book_id = r.book_id AND c.command_id = r.refund_id
WHERE r.book_id = $1;

-- name: verify_grant_empty_differs :many
-- A grant is marked empty when it is, and since a moment at which its last credits left it: reads rely on that.
SELECT format('grant %s, emptiness', g.grant_id) AS subject,
    format('%s left', a.posted_minor) AS expected,
    coalesce('empty since ' || g.empty_since, 'not empty') AS found, count(*) OVER () AS total
FROM grants AS g
JOIN accounts AS a ON a.book_id = g.book_id AND a.account_id = g.account_id
WHERE g.book_id = $1 AND ((g.empty_since IS NULL) <> (a.posted_minor <> 0)
    OR g.empty_since IS NOT NULL AND NOT EXISTS (
        SELECT FROM transfers AS t
        WHERE t.book_id = g.book_id AND t.debit_account_id = g.account_id AND t.debit_posted_minor = 0
            AND t.kind IN ('posted', 'capture', 'reversal') AND t.created_at = g.empty_since))
ORDER BY g.grant_id LIMIT $2;

-- name: verify_refund_differs :many
-- What refunds say they gave back of a hold's part is what the part says.
WITH returned AS (
    SELECT r.hold_id, p.grant_id, sum(p.amount_minor) AS amount_minor
    FROM refunds AS r JOIN refund_parts AS p USING (book_id, refund_id)
    WHERE r.book_id = $1 GROUP BY r.hold_id, p.grant_id
)
SELECT format('hold %s, grant %s', hold_id, grant_id) AS subject,
    format('%s refunded', coalesce(r.amount_minor, 0)) AS expected,
    format('%s refunded', coalesce(p.refunded_minor, 0)) AS found, count(*) OVER () AS total
FROM (SELECT hold_id, grant_id, refunded_minor FROM hold_parts WHERE book_id = $1) AS p
FULL JOIN returned AS r USING (hold_id, grant_id)
WHERE coalesce(p.refunded_minor, 0) <> coalesce(r.amount_minor, 0)
ORDER BY hold_id, grant_id LIMIT $2;

-- name: verify_refund_differs_from_parts :many
SELECT format('refund %s', r.refund_id) AS subject, format('%s in parts', r.amount_minor) AS expected,
    format('%s in parts', coalesce(sum(p.amount_minor), 0)) AS found, count(*) OVER () AS total
FROM refunds AS r LEFT JOIN refund_parts AS p USING (book_id, refund_id)
WHERE r.book_id = $1
GROUP BY r.refund_id, r.amount_minor HAVING r.amount_minor <> coalesce(sum(p.amount_minor), 0)
ORDER BY r.refund_id LIMIT $2;

-- name: verify_refund_part_differs :many
-- A part of a refund is one transfer from what the hold paid to: to the same grant, or to the one opened in its place.
SELECT format('refund %s, part %s', r.refund_id, p.position) AS subject,
    format('a transfer of %s to grant %s', p.amount_minor, g.grant_id) AS expected,
    format('%s such transfers', count(t.seq)) AS found, count(*) OVER () AS total
FROM refunds AS r
JOIN refund_parts AS p USING (book_id, refund_id)
JOIN holds AS h USING (book_id, hold_id)
JOIN grants AS g ON g.book_id = p.book_id AND g.grant_id = coalesce(p.returned_to_grant_id, p.grant_id)
LEFT JOIN transfers AS t
    ON t.book_id = r.book_id AND t.kind = 'posted'
    AND t.transaction_id = CASE g.grant_id WHEN p.grant_id THEN r.refund_id ELSE g.grant_id END
    AND t.debit_account_id = h.credit_account_id AND t.credit_account_id = g.account_id
    AND t.amount_minor = p.amount_minor AND t.reason = r.reason AND t.created_at = r.created_at
WHERE r.book_id = $1
GROUP BY r.refund_id, p.position, p.amount_minor, g.grant_id HAVING count(t.seq) <> 1
ORDER BY r.refund_id, p.position LIMIT $2;

-- name: verify_grant_overdrawn :many
-- What was taken back of a grant is at most what it gave.
SELECT format('grant %s', g.grant_id) AS subject, format('at most %s reversed', g.amount_minor) AS expected,
    format('%s reversed', sum(t.amount_minor)) AS found, count(*) OVER () AS total
FROM grants AS g
JOIN transfers AS t ON t.book_id = g.book_id AND t.transaction_id = g.grant_id AND t.kind = 'reversal'
WHERE g.book_id = $1
GROUP BY g.grant_id, g.amount_minor HAVING sum(t.amount_minor) > g.amount_minor
ORDER BY g.grant_id LIMIT $2;

-- name: lock_verification :one
-- One scheduled verification of a book at a time, on whichever replica; and none when it has been verified meanwhile.
SELECT pg_try_advisory_xact_lock(1903527284, $1) AS is_locked,
    EXISTS (SELECT FROM verifications WHERE book_id = $1 AND verified_at > clock_timestamp() - $2::interval) AS is_done;

-- name: list_due_books :many
SELECT b.book_id FROM books AS b
WHERE NOT EXISTS (
    SELECT FROM verifications AS v WHERE v.book_id = b.book_id AND v.verified_at > clock_timestamp() - $1::interval
)
ORDER BY b.book_id;

-- name: upsert_findings :many
-- Found again is seen again: one row for ever. Says which ones are new.
INSERT INTO findings (book_id, kind, subject, digest, expected, found, first_seen_at, last_seen_at)
SELECT *, $7::timestamptz, $7::timestamptz
FROM unnest($1::smallint[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[])
ON CONFLICT (book_id, kind, subject, digest) DO UPDATE SET last_seen_at = excluded.last_seen_at
RETURNING digest, first_seen_at = last_seen_at AS is_new;

-- name: insert_verification :one
-- The time of one verification is after that of the one before it, on whichever machine.
INSERT INTO verifications (book_id, verified_at, to_seq, finding_count)
SELECT $1, greatest(clock_timestamp(), max(verified_at) + interval '1 microsecond'), $2, $3
FROM verifications WHERE book_id = $1
RETURNING verified_at;

-- name: list_findings :many
SELECT f.book_id, f.kind, f.subject, f.digest, f.expected, f.found, f.first_seen_at, f.last_seen_at
FROM findings AS f
WHERE (f.first_seen_at, f.digest) < ($1::timestamptz, $2::bytea)
    AND (NOT $3::boolean OR f.last_seen_at = (
        SELECT max(v.verified_at) FROM verifications AS v WHERE v.book_id = f.book_id))
ORDER BY f.first_seen_at DESC, f.digest DESC LIMIT $4;

-- name: trial_balance :many
-- One statement, so that all sums are of one moment.
SELECT currency, CASE WHEN owner_id IS NULL THEN code ELSE 'grant:' END AS account,
    sum(posted_minor) AS posted_minor, sum(held_minor) AS held_minor, count(*) AS accounts
FROM accounts
WHERE ($1::text = '' OR currency = $1) AND ($2::text = '' OR code = $2)
GROUP BY 1, 2 ORDER BY 1, 2;
