-- name: check_tables :one
-- Asked at every readiness check: fails before the migrations have run.
SELECT EXISTS (SELECT FROM campaigns) AND EXISTS (SELECT FROM vouchers) AND EXISTS (SELECT FROM redemptions);

-- name: find_vouchers :many
-- Which campaigns to lock. Read without a lock: a voucher never changes its code or its campaign.
SELECT voucher_id, campaign_id, code_normal, true AS by_code FROM vouchers WHERE code_normal = ANY ($1::text[])
UNION ALL
SELECT voucher_id, campaign_id, code_normal, false FROM vouchers WHERE voucher_id = ANY ($2::uuid[]);

-- name: lock_campaigns :many
-- In id order, so that groups never wait for each other in a circle. The time is read outside the inner query,
-- which is to say after the wait: it would be from before it otherwise.
WITH locked AS MATERIALIZED (
    SELECT campaign_id, last_at FROM campaigns
    WHERE campaign_id = ANY ($1::uuid[])
    ORDER BY campaign_id FOR UPDATE
)
SELECT campaign_id, greatest(clock_timestamp(), last_at) AS now FROM locked;

-- name: read_clock :one
-- The time of what no lock is taken for: reads, and tombstones of vouchers that do not exist.
SELECT clock_timestamp() AS now;

-- name: load_campaigns :many
-- A statement after the lock: what was committed while we waited is seen.
SELECT campaign_id, name, effect, effect_minor, currency, credit_priority, credit_valid_days, uses_max,
    uses_per_customer_max, starts_at, ends_at, order_minimum_minor, uses, created_at
FROM campaigns WHERE campaign_id = ANY ($1::uuid[]);

-- name: load_vouchers :many
SELECT voucher_id, campaign_id, code, uses_max, uses, created_at FROM vouchers WHERE voucher_id = ANY ($1::uuid[]);

-- name: load_redemptions :many
-- Replays, undone ids and tombstones; also those that were committed while we waited for the lock.
-- One look-up per id, whatever the planner believes of the table: a plan that was made while it was small would
-- read all of it for every group until the next ANALYZE.
SELECT found.*
FROM unnest($1::uuid[]) AS wanted (redemption_id)
CROSS JOIN LATERAL (
    SELECT redemption_id, customer_id, voucher_id, campaign_id, state, order_id, currency, lines_digest,
        redemptions_digest, effect, effect_minor, discount_minor, lines, credit_priority, credit_expires_at,
        expires_at, created_at, kept_at, confirmed_at, rolled_back_at
    FROM redemptions AS r WHERE r.redemption_id = wanted.redemption_id LIMIT 1
) AS found;

-- name: load_customer_uses :many
-- Counted from the rows themselves; cheap, because one customer has few uses of one campaign.
SELECT wanted.campaign_id, wanted.customer_id, used.voucher_id, used.state, used.uses
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (campaign_id, customer_id)
CROSS JOIN LATERAL (
    SELECT r.voucher_id, r.state, count(*) AS uses FROM redemptions AS r
    WHERE r.campaign_id = wanted.campaign_id AND r.customer_id = wanted.customer_id
        AND r.state IN ('reserved', 'kept', 'confirmed')
    GROUP BY r.voucher_id, r.state
) AS used;

-- name: insert_redemptions :exec
-- An id that somebody else has taken meanwhile is a lost race: the group is loaded and decided again.
-- Lines come as text, because a list in an array would be taken for another dimension.
INSERT INTO redemptions (
    redemption_id, customer_id, voucher_id, campaign_id, state, order_id, currency, lines_digest, redemptions_digest,
    effect, effect_minor, discount_minor, lines, credit_priority, credit_expires_at, expires_at,
    created_at, kept_at, confirmed_at, rolled_back_at
)
SELECT
    redemption_id, customer_id, voucher_id, campaign_id, state, order_id, currency, lines_digest, redemptions_digest,
    effect, effect_minor, discount_minor, lines::jsonb, credit_priority, credit_expires_at, expires_at,
    created_at, kept_at, confirmed_at, rolled_back_at
FROM unnest(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::uuid[], $7::text[], $8::bytea[], $9::bytea[],
    $10::text[], $11::bigint[], $12::bigint[], $13::text[], $14::integer[], $15::timestamptz[], $16::timestamptz[],
    $17::timestamptz[], $18::timestamptz[], $19::timestamptz[], $20::timestamptz[]
) AS made (
    redemption_id, customer_id, voucher_id, campaign_id, state, order_id, currency, lines_digest, redemptions_digest,
    effect, effect_minor, discount_minor, lines, credit_priority, credit_expires_at, expires_at,
    created_at, kept_at, confirmed_at, rolled_back_at
);

-- name: move_redemptions :exec
-- Only what a life cycle changes: everything else was fixed when the redemption was made.
UPDATE redemptions AS r
SET state = moved.state, kept_at = moved.kept_at, confirmed_at = moved.confirmed_at,
    rolled_back_at = moved.rolled_back_at
FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[])
    AS moved (redemption_id, state, kept_at, confirmed_at, rolled_back_at)
WHERE r.redemption_id = moved.redemption_id;

-- name: update_voucher_uses :exec
-- The numbers themselves, not differences: they were counted under the lock.
UPDATE vouchers AS v SET uses = counted.uses
FROM unnest($1::uuid[], $2::bigint[]) AS counted (voucher_id, uses)
WHERE v.voucher_id = counted.voucher_id;

-- name: update_campaigns :exec
-- Of every campaign with a new or changed row, because its time moves on with it.
UPDATE campaigns AS c SET uses = counted.uses, last_at = $3
FROM unnest($1::uuid[], $2::bigint[]) AS counted (campaign_id, uses)
WHERE c.campaign_id = counted.campaign_id;

-- name: insert_campaign :one
-- Two at once under one id: the second one's insert fails, and it reads what the first one wrote.
INSERT INTO campaigns (
    campaign_id, name, effect, effect_minor, currency, credit_priority, credit_valid_days, uses_max,
    uses_per_customer_max, starts_at, ends_at, order_minimum_minor, created_at, last_at
)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, now, now FROM clock_timestamp() AS now
RETURNING campaign_id, name, effect, effect_minor, currency, credit_priority, credit_valid_days, uses_max,
    uses_per_customer_max, starts_at, ends_at, order_minimum_minor, uses, created_at;

-- name: insert_voucher :one
-- A code taken meanwhile in another campaign fails here and is then found.
INSERT INTO vouchers (voucher_id, campaign_id, code, code_normal, uses_max, created_at)
VALUES ($1, $2, $3, $4, $5, clock_timestamp())
RETURNING voucher_id, campaign_id, code, uses_max, uses, created_at;

-- name: list_redemptions :many
-- A voucher's newest, for people: what never came is left out.
SELECT redemption_id, customer_id, voucher_id, campaign_id, state, order_id, currency, lines_digest,
    redemptions_digest, effect, effect_minor, discount_minor, lines, credit_priority, credit_expires_at, expires_at,
    created_at, kept_at, confirmed_at, rolled_back_at
FROM redemptions
WHERE voucher_id = $1 AND state <> 'tombstone'
ORDER BY created_at DESC
LIMIT $2;
