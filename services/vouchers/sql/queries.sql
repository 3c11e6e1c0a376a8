-- name: check_tables :one
-- Asked at every readiness check: fails before the migrations have run.
SELECT EXISTS (SELECT FROM campaigns) AND EXISTS (SELECT FROM vouchers) AND EXISTS (SELECT FROM redemptions);

-- name: find_vouchers :many
-- Which campaigns to lock. Read without a lock: a voucher never changes its code or its campaign. One look-up per
-- reference, whatever the planner believes of the table: a million codes may have been made since it looked.
SELECT found.*, true AS by_code
FROM unnest($1::text[]) AS wanted (code_normal)
CROSS JOIN LATERAL (
    SELECT voucher_id, campaign_id, code_normal FROM vouchers AS v WHERE v.code_normal = wanted.code_normal LIMIT 1
) AS found
UNION ALL
SELECT found.*, false
FROM unnest($2::uuid[]) AS wanted (voucher_id)
CROSS JOIN LATERAL (
    SELECT voucher_id, campaign_id, code_normal FROM vouchers AS v WHERE v.voucher_id = wanted.voucher_id LIMIT 1
) AS found;

-- name: lock_campaigns :many
-- In id order, so that groups never wait for each other in a circle. The time is read outside the inner query,
-- which is to say after the wait: it would be from before it otherwise. The key stays as it is, so that codes can be
-- made meanwhile, whose foreign key looks at it.
-- The rows are those of after the wait as well: what was committed meanwhile is seen.
WITH locked AS MATERIALIZED (
    SELECT * FROM campaigns
    WHERE campaign_id = ANY ($1::uuid[])
    ORDER BY campaign_id FOR NO KEY UPDATE
)
SELECT *, greatest(clock_timestamp(), last_at) AS now FROM locked;

-- name: read_clock :one
-- The time of what no lock is taken for: reads, and tombstones of vouchers that do not exist.
SELECT clock_timestamp() AS now;

-- name: load_campaigns :many
-- All columns: a campaign is read whole.
SELECT * FROM campaigns WHERE campaign_id = ANY ($1::uuid[]);

-- name: load_vouchers :many
-- One look-up per id, whatever the planner believes of the table, as below.
SELECT found.*
FROM unnest($1::uuid[]) AS wanted (voucher_id)
CROSS JOIN LATERAL (
    SELECT v.voucher_id, v.campaign_id, coalesce(v.code, v.code_normal) AS code, v.uses_max, v.uses, v.customer_id,
        v.batch_id, v.created_at, coalesce(v.expires_at, b.expires_at) AS expires_at,
        -- Off by itself, with its batch, or with the codes that its campaign had at a moment.
        least(
            v.deactivated_at, b.deactivated_at,
            CASE WHEN v.created_at <= c.codes_deactivated_at THEN c.codes_deactivated_at END
        ) AS deactivated_at
    FROM vouchers AS v
    JOIN campaigns AS c ON c.campaign_id = v.campaign_id
    LEFT JOIN code_batches AS b ON b.batch_id = v.batch_id
    WHERE v.voucher_id = wanted.voucher_id LIMIT 1
) AS found;

-- name: load_redemptions :many
-- Replays, undone ids and tombstones; also those that were committed while we waited for the lock.
-- One look-up per id, whatever the planner believes of the table: a plan that was made while it was small would
-- read all of it for every group until the next ANALYZE.
SELECT found.*
FROM unnest($1::uuid[]) AS wanted (redemption_id)
CROSS JOIN LATERAL (
    SELECT * FROM redemptions AS r WHERE r.redemption_id = wanted.redemption_id LIMIT 1
) AS found;

-- name: load_customer_uses :many
-- Counted from the rows themselves; cheap, because one customer has few uses of one campaign. When they were made
-- matters only where a period is limited, and only within it.
SELECT wanted.campaign_id, wanted.customer_id, used.voucher_id, used.state, used.uses, used.moments
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (campaign_id, customer_id)
JOIN campaigns AS c ON c.campaign_id = wanted.campaign_id
CROSS JOIN LATERAL (
    SELECT r.voucher_id, r.state, count(*) AS uses,
        array_agg(r.created_at)
            FILTER (WHERE r.created_at > $3::timestamptz - c.period_days * interval '24 hours') AS moments
    FROM redemptions AS r
    WHERE r.campaign_id = wanted.campaign_id AND r.customer_id = wanted.customer_id
        AND r.state IN ('reserved', 'kept', 'confirmed')
    GROUP BY r.voucher_id, r.state
) AS used;

-- name: write_changes :exec
-- New redemptions and all counters in one round trip: with few commands in a group round trips are what costs.
-- An id that somebody else has taken meanwhile is a lost race: the group is loaded and decided again.
-- What is jsonb comes as text, because a list in an array would be taken for another dimension.
-- Counters are the numbers themselves, not differences: they were counted under the lock. Of every campaign with a new
-- or changed row, because its time moves on with it.
WITH made AS (
    INSERT INTO redemptions (
        redemption_id, customer_id, voucher_id, campaign_id,
        order_id, currency, lines_digest, redemptions_digest, facts_digest,
        effect, campaign_revision, effect_parameters, discount_minor, lines,
        credit_minor, credit_priority, credit_expires_at, expires_at, created_at,
        state, kept_at, confirmed_at, rolled_back_at, expired_at, restored_at, restore_cause
    )
    SELECT
        redemption_id, customer_id, voucher_id, campaign_id,
        order_id, currency, lines_digest, redemptions_digest, facts_digest,
        effect, campaign_revision, effect_parameters::jsonb, discount_minor, lines::jsonb,
        credit_minor, credit_priority, credit_expires_at, expires_at, created_at,
        state, kept_at, confirmed_at, rolled_back_at, expired_at, restored_at, restore_cause
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[],
        $5::uuid[], $6::text[], $7::bytea[], $8::bytea[], $9::bytea[],
        $10::text[], $11::integer[], $12::text[], $13::bigint[], $14::text[],
        $15::bigint[], $16::integer[], $17::timestamptz[], $18::timestamptz[], $19::timestamptz[],
        $20::text[], $21::timestamptz[], $22::timestamptz[], $23::timestamptz[], $24::timestamptz[], $25::timestamptz[],
        $26::text[]
    ) AS made (
        redemption_id, customer_id, voucher_id, campaign_id,
        order_id, currency, lines_digest, redemptions_digest, facts_digest,
        effect, campaign_revision, effect_parameters, discount_minor, lines,
        credit_minor, credit_priority, credit_expires_at, expires_at, created_at,
        state, kept_at, confirmed_at, rolled_back_at, expired_at, restored_at, restore_cause
    )
), used AS (
    UPDATE vouchers AS v SET uses = counted.uses
    FROM unnest($27::uuid[], $28::bigint[]) AS counted (voucher_id, uses)
    WHERE v.voucher_id = counted.voucher_id
)
UPDATE campaigns AS c
SET uses = counted.reserved + counted.kept + counted.confirmed, reserved = counted.reserved, kept = counted.kept,
    confirmed = counted.confirmed, rolled_back = counted.rolled_back, expired = counted.expired,
    restored = counted.restored, spent_minor = counted.spent_minor, last_at = $37
FROM unnest(
    $29::uuid[], $30::bigint[], $31::bigint[], $32::bigint[], $33::bigint[], $34::bigint[], $35::bigint[], $36::bigint[]
) AS counted (campaign_id, reserved, kept, confirmed, rolled_back, expired, restored, spent_minor)
WHERE c.campaign_id = counted.campaign_id;

-- name: move_redemptions :exec
-- Only what a life cycle changes: everything else was fixed when the redemption was made.
UPDATE redemptions AS r
SET state = moved.state, kept_at = moved.kept_at, confirmed_at = moved.confirmed_at,
    rolled_back_at = moved.rolled_back_at, expired_at = moved.expired_at, restored_at = moved.restored_at,
    restore_cause = moved.restore_cause
FROM unnest(
    $1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
    $7::timestamptz[], $8::text[]
) AS moved (
    redemption_id, state, kept_at, confirmed_at, rolled_back_at, expired_at, restored_at, restore_cause
)
WHERE r.redemption_id = moved.redemption_id;

-- name: list_due_redemptions :many
-- What nobody has ended before its expiry, oldest first; ended under the campaigns' locks, so that nothing is lost by
-- reading without them. The statement's own time can be looked up in the index; the clock's, which moves on, cannot.
SELECT redemption_id, voucher_id FROM redemptions
WHERE state = 'reserved' AND expires_at <= statement_timestamp()
ORDER BY expires_at LIMIT $1;

-- name: find_redemption :one
SELECT * FROM redemptions WHERE redemption_id = $1 AND state <> 'tombstone';

-- name: list_redemptions_of_customer :many
-- Newest first, below a place in that order; what never came is left out, here and in the next ones.
SELECT * FROM redemptions
WHERE customer_id = $1 AND state <> 'tombstone' AND (created_at, redemption_id) < ($2, $3)
ORDER BY created_at DESC, redemption_id DESC LIMIT $4;

-- name: list_redemptions_of_campaign :many
-- By the index of its campaign, in which all of one moment stand together.
SELECT * FROM redemptions
WHERE campaign_id = $1 AND state <> 'tombstone' AND (created_at, redemption_id) < ($2, $3)
ORDER BY created_at DESC, redemption_id DESC LIMIT $4;

-- name: find_usable_vouchers :many
-- What a customer could use without typing a code, one voucher of each campaign: one that is assigned to the
-- customer, else the oldest shared one of a listed campaign. The rules decide; this leaves out what is certainly used
-- up or closed, and looks at the newest so many of each kind.
SELECT DISTINCT ON (usable.campaign_id) usable.voucher_id, usable.campaign_id
FROM (
    (
        SELECT v.voucher_id, v.campaign_id, v.created_at, true AS is_assigned
        FROM vouchers AS v
        WHERE v.customer_id = $1 AND (v.uses_max IS NULL OR v.uses < v.uses_max) AND v.deactivated_at IS NULL
        ORDER BY v.created_at DESC LIMIT $2
    )
    UNION ALL
    SELECT shared.voucher_id, listed.campaign_id, shared.created_at, false
    FROM (
        SELECT campaign_id, codes_deactivated_at FROM campaigns
        WHERE listed AND state = 'active' ORDER BY created_at DESC LIMIT $2
    ) AS listed
    CROSS JOIN LATERAL (
        SELECT v.voucher_id, v.created_at FROM vouchers AS v
        WHERE v.campaign_id = listed.campaign_id
            AND v.customer_id IS NULL AND v.uses_max IS DISTINCT FROM 1 AND v.batch_id IS NULL
            AND (v.uses_max IS NULL OR v.uses < v.uses_max) AND v.deactivated_at IS NULL
            AND (listed.codes_deactivated_at IS NULL OR v.created_at > listed.codes_deactivated_at)
        ORDER BY v.created_at LIMIT 1
    ) AS shared
) AS usable
ORDER BY usable.campaign_id, usable.is_assigned DESC, usable.created_at;
