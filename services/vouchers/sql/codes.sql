-- name: insert_voucher :one
-- A code taken meanwhile in another campaign fails here and is then found. Never as old as a switch of all codes of its
-- campaign, however the clock goes, so that it is not switched off with those.
INSERT INTO vouchers (voucher_id, campaign_id, code, code_normal, uses_max, customer_id, expires_at, created_at)
SELECT $1, $2, $3, $4, $5, $6, $7, greatest(clock_timestamp(), c.codes_deactivated_at + interval '1 microsecond')
FROM campaigns AS c WHERE c.campaign_id = $2
RETURNING *;

-- name: count_codes :exec
-- Under the campaign's lock, or as the last thing of a transaction that takes it only for this.
UPDATE campaigns SET codes = codes + $2 WHERE campaign_id = $1;

-- name: show_voucher :one
-- For people: with its batch's print format, and since when it is off for whichever reason.
SELECT v.voucher_id, v.campaign_id, v.code, v.code_normal, v.uses_max, v.uses, v.customer_id, v.batch_id, v.created_at,
    coalesce(v.expires_at, b.expires_at) AS expires_at,
    least(
        v.deactivated_at, b.deactivated_at,
        CASE WHEN v.created_at <= c.codes_deactivated_at THEN c.codes_deactivated_at END
    ) AS deactivated_at
FROM vouchers AS v
JOIN campaigns AS c USING (campaign_id)
LEFT JOIN code_batches AS b ON b.batch_id = v.batch_id
WHERE v.voucher_id = $1;

-- name: list_redemptions_of_voucher :many
-- Newest first, below a place in that order; what never came is left out.
SELECT * FROM redemptions
WHERE voucher_id = $1 AND state <> 'tombstone' AND (created_at, redemption_id) < ($2, $3)
ORDER BY created_at DESC, redemption_id DESC
LIMIT $4;

-- name: list_code_changes :many
-- What concerned a voucher: switches of it, of its batch, and of its campaign once it was there.
SELECT change_id, scope, target_id, campaign_id, is_active, note, created_at FROM code_changes
WHERE target_id = ANY ($1::uuid[]) AND created_at >= $2
ORDER BY created_at DESC, change_id DESC
LIMIT $3;

-- name: insert_batch :one
-- Asked for under the campaign's lock; its time is that of all its codes, so it lies behind every switch of them.
INSERT INTO code_batches (
    batch_id, campaign_id, kind, state, code_count, uses_max, prefix, group_length, separator, expires_at, created_at
)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
    greatest(clock_timestamp(), c.codes_deactivated_at + interval '1 microsecond')
FROM campaigns AS c WHERE c.campaign_id = $2
RETURNING *;

-- name: insert_batch_tombstone :exec
-- A batch that was cancelled before it came is refused when it does.
INSERT INTO code_batches (batch_id, state, created_at) VALUES ($1, 'tombstone', clock_timestamp());

-- name: lock_batch :one
-- Waits for a chunk that is being made. Before the campaign, where both are locked.
SELECT * FROM code_batches WHERE batch_id = $1 FOR UPDATE;

-- name: lock_unfinished_batch :one
-- Nothing when another replica is at work on it, or when it was stopped meanwhile.
SELECT * FROM code_batches WHERE batch_id = $1 AND state IN ('pending', 'running') FOR UPDATE SKIP LOCKED;

-- name: find_unfinished_batches :many
-- The least advanced first, so that a small batch does not wait for a large one.
SELECT batch_id FROM code_batches WHERE state IN ('pending', 'running') ORDER BY made, created_at LIMIT 100;

-- name: read_batch :one
SELECT * FROM code_batches WHERE batch_id = $1;

-- name: list_batches :many
-- Newest first, below a place in that order. Two conditions and no OR, so that each has its index.
SELECT * FROM code_batches
WHERE state <> 'tombstone' AND (created_at, batch_id) < ($1, $2)
ORDER BY created_at DESC, batch_id DESC
LIMIT $3;

-- name: list_batches_of_campaign :many
SELECT * FROM code_batches
WHERE campaign_id = $1 AND (created_at, batch_id) < ($2, $3)
ORDER BY created_at DESC, batch_id DESC
LIMIT $4;

-- name: advance_batch :exec
-- In the transaction that makes the codes: never one too many or too few, whatever crashes.
UPDATE code_batches
SET made = made + $2, failures = 0,
    state = CASE WHEN made + $2 < code_count THEN 'running' ELSE 'completed' END,
    finished_at = CASE WHEN made + $2 < code_count THEN NULL ELSE clock_timestamp() END
WHERE batch_id = $1;

-- name: grow_batch :exec
-- Of an imported one: what it has is what is wanted of it.
UPDATE code_batches SET code_count = code_count + $2, made = made + $2 WHERE batch_id = $1;

-- name: note_batch_failure :one
-- After so many in a row the batch is given up.
UPDATE code_batches
SET failures = failures + 1, failure = $2,
    state = CASE WHEN failures + 1 < $3 THEN state ELSE 'failed' END,
    finished_at = CASE WHEN failures + 1 < $3 THEN NULL ELSE clock_timestamp() END
WHERE batch_id = $1 AND state IN ('pending', 'running')
RETURNING state;

-- name: resume_batch :one
-- Somebody asks for a failed one again.
UPDATE code_batches
SET state = CASE WHEN made > 0 THEN 'running' ELSE 'pending' END, failures = 0, failure = NULL, finished_at = NULL
WHERE batch_id = $1
RETURNING *;

-- name: cancel_batch :one
-- Under the campaign's lock: no redemption of its codes is committed after it.
UPDATE code_batches SET state = 'cancelled', finished_at = $2, deactivated_at = coalesce(deactivated_at, $2)
WHERE batch_id = $1
RETURNING *;

-- name: find_codes :many
-- Who has these codes; one look-up for each, whatever the planner believes of the table.
SELECT found.*
FROM unnest($1::text[]) AS wanted (code_normal)
CROSS JOIN LATERAL (
    SELECT voucher_id, batch_id, code_normal FROM vouchers AS v WHERE v.code_normal = wanted.code_normal LIMIT 1
) AS found;

-- name: insert_imported_codes :exec
-- A code that somebody took meanwhile is a lost race: it is looked for again.
INSERT INTO vouchers (voucher_id, campaign_id, batch_id, code, code_normal, uses_max, created_at)
SELECT made.voucher_id, b.campaign_id, b.batch_id, made.code, made.code_normal, b.uses_max, b.created_at
FROM code_batches AS b, unnest($2::uuid[], $3::text[], $4::text[]) AS made (voucher_id, code, code_normal)
WHERE b.batch_id = $1;

-- name: export_codes :many
-- By id, which for generated ones is the order in which they were made.
SELECT voucher_id, code, code_normal, uses, deactivated_at FROM vouchers
WHERE batch_id = $1 AND voucher_id > $2
ORDER BY voucher_id
LIMIT $3;

-- name: load_code_change :one
SELECT change_id, scope, target_id, campaign_id, is_active, note, created_at FROM code_changes WHERE change_id = $1;

-- name: insert_code_change :one
INSERT INTO code_changes (change_id, scope, target_id, campaign_id, is_active, note, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING change_id, scope, target_id, campaign_id, is_active, note, created_at;

-- name: switch_voucher :exec
-- Off since the first time; NULL: on.
UPDATE vouchers SET deactivated_at = CASE WHEN $2::timestamptz IS NOT NULL THEN coalesce(deactivated_at, $2) END
WHERE voucher_id = $1;

-- name: switch_batch :exec
UPDATE code_batches SET deactivated_at = CASE WHEN $2::timestamptz IS NOT NULL THEN coalesce(deactivated_at, $2) END
WHERE batch_id = $1;

-- name: switch_campaign :exec
-- Always the last time: it takes in what was made since the first.
UPDATE campaigns SET codes_deactivated_at = $2 WHERE campaign_id = $1;

-- name: lock_guessers :exec
-- Only for those who offer unknown codes: they are counted one after the other, also by different replicas.
SELECT pg_advisory_xact_lock(hashtextextended(customer_id::text, 0))
FROM (SELECT customer_id FROM unnest($1::uuid[]) AS wanted (customer_id) ORDER BY customer_id) AS ordered;

-- name: load_misses :many
-- What still counts; one look into the index for somebody who never guessed.
SELECT found.*
FROM unnest($1::uuid[]) AS wanted (customer_id)
CROSS JOIN LATERAL (
    SELECT customer_id, code_digest, missed_at FROM code_misses AS m
    WHERE m.customer_id = wanted.customer_id AND m.missed_at > $2
    LIMIT 1000
) AS found;

-- name: note_misses :exec
-- A code that was offered before the window began counts anew.
INSERT INTO code_misses (customer_id, code_digest, missed_at)
SELECT customer_id, code_digest, missed_at
FROM unnest($1::uuid[], $2::bytea[], $3::timestamptz[]) AS made (customer_id, code_digest, missed_at)
ORDER BY customer_id, code_digest
ON CONFLICT (customer_id, code_digest) DO UPDATE SET missed_at = excluded.missed_at;

-- name: forget_misses :one
SELECT forget_code_misses($1) AS forgotten;
