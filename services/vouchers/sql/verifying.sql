-- Statements that prove the counters. Each verify_ statement finds rows of one campaign ($1) that must not exist, at most
-- $2 of them, and says how many there are in all; the order makes what is left out the same every time.

-- name: verify_campaign_counters :many
-- Counters against rows. Answers from the wallet and tombstones are counted nowhere.
WITH made AS (
    SELECT state, count(*) AS count FROM redemptions WHERE campaign_id = $1 GROUP BY state
), wanted AS (
    SELECT stored.name, stored.count, coalesce(sum(made.count), 0) AS expected
    FROM campaigns AS c
    CROSS JOIN LATERAL (VALUES
        ('reserved', c.reserved, '{reserved}'::text[]), ('kept', c.kept, '{kept}'), ('confirmed', c.confirmed, '{confirmed}'),
        ('rolled_back', c.rolled_back, '{rolled_back}'), ('expired', c.expired, '{expired}'),
        ('restored', c.restored, '{restored}'), ('uses', c.uses, '{reserved,kept,confirmed}')
    ) AS stored (name, count, states)
    LEFT JOIN made ON made.state = ANY (stored.states)
    WHERE c.campaign_id = $1
    GROUP BY stored.name, stored.count
)
SELECT format('campaign, %s', name) AS subject, expected::text, count::text AS found,
    (count - expected)::bigint AS difference, count(*) OVER () AS total
FROM wanted WHERE count <> expected
ORDER BY name LIMIT $2;

-- name: verify_campaign_spent :many
SELECT 'campaign, spent' AS subject, made.value_minor::text AS expected, c.spent_minor::text AS found,
    (c.spent_minor - made.value_minor)::bigint AS difference, 1::bigint AS total
FROM campaigns AS c
CROSS JOIN LATERAL (
    SELECT coalesce(sum(r.discount_minor + r.credit_minor), 0) AS value_minor
    FROM redemptions AS r WHERE r.campaign_id = c.campaign_id AND r.state IN ('reserved', 'kept', 'confirmed')
) AS made
WHERE c.campaign_id = $1 AND c.spent_minor <> made.value_minor LIMIT $2;

-- name: verify_codes :many
-- Codes made one by one and those of batches. A batch has as many as it says.
WITH counted AS (
    SELECT b.batch_id, b.made, (SELECT count(*) FROM vouchers AS v WHERE v.batch_id = b.batch_id) AS count
    FROM code_batches AS b WHERE b.campaign_id = $1
), compared AS (
    SELECT 'campaign, codes' AS subject, c.codes AS stored, (
        (SELECT coalesce(sum(count), 0) FROM counted)
        + (SELECT count(*) FROM vouchers AS v WHERE v.campaign_id = $1 AND v.batch_id IS NULL)
    )::bigint AS expected
    FROM campaigns AS c WHERE c.campaign_id = $1
    UNION ALL
    SELECT format('batch %s, codes', batch_id), made, count FROM counted
)
SELECT subject, expected::text, stored::text AS found, stored - expected AS difference, count(*) OVER () AS total
FROM compared WHERE stored <> expected
ORDER BY subject LIMIT $2;

-- name: verify_voucher_uses :many
WITH used AS (
    SELECT voucher_id, count(*) AS uses FROM redemptions
    WHERE campaign_id = $1 AND state IN ('reserved', 'kept', 'confirmed') GROUP BY voucher_id
), own AS (
    SELECT v.voucher_id, v.uses FROM vouchers AS v WHERE v.campaign_id = $1 AND v.batch_id IS NULL
    UNION ALL
    SELECT v.voucher_id, v.uses FROM code_batches AS b JOIN vouchers AS v USING (batch_id) WHERE b.campaign_id = $1
)
SELECT format('voucher %s, uses', own.voucher_id) AS subject, coalesce(used.uses, 0)::text AS expected,
    own.uses::text AS found, own.uses - coalesce(used.uses, 0) AS difference, count(*) OVER () AS total
FROM own LEFT JOIN used USING (voucher_id) WHERE own.uses <> coalesce(used.uses, 0)
ORDER BY own.voucher_id LIMIT $2;

-- name: verify_limits :many
-- Of campaign, budget and codes, by the rows themselves.
WITH used AS (
    SELECT voucher_id, count(*) AS uses, sum(discount_minor + credit_minor) AS value_minor FROM redemptions
    WHERE campaign_id = $1 AND state IN ('reserved', 'kept', 'confirmed') GROUP BY voucher_id
), compared AS (
    SELECT 'campaign, uses' AS subject, c.uses_max AS limited, (SELECT sum(uses) FROM used) AS used
    FROM campaigns AS c WHERE c.campaign_id = $1
    UNION ALL
    SELECT 'campaign, budget', c.budget_minor, (SELECT sum(value_minor) FROM used)
    FROM campaigns AS c WHERE c.campaign_id = $1
    UNION ALL
    SELECT format('voucher %s, uses', v.voucher_id), v.uses_max, used.uses FROM used JOIN vouchers AS v USING (voucher_id)
)
SELECT subject, format('at most %s', limited) AS expected, used::text AS found, NULL::bigint AS difference,
    count(*) OVER () AS total
FROM compared WHERE used > limited
ORDER BY subject LIMIT $2;

-- name: verify_customer_limits :many
SELECT format('customer %s, uses', r.customer_id) AS subject, format('at most %s', c.uses_per_customer_max) AS expected,
    count(*)::text AS found, NULL::bigint AS difference, count(*) OVER () AS total
FROM campaigns AS c JOIN redemptions AS r USING (campaign_id)
WHERE c.campaign_id = $1 AND r.state IN ('reserved', 'kept', 'confirmed')
GROUP BY r.customer_id, c.uses_per_customer_max HAVING count(*) > c.uses_per_customer_max
ORDER BY r.customer_id LIMIT $2;

-- name: verify_customer_period_limits :many
-- Within the period that ends with each use, the period's first moment excluded.
WITH made AS (
    SELECT r.customer_id, c.uses_per_period_max AS uses_max, c.period_days,
        count(*) OVER (
            PARTITION BY r.customer_id ORDER BY r.created_at
            RANGE BETWEEN $3::interval PRECEDING AND CURRENT ROW
        ) AS uses
    FROM campaigns AS c JOIN redemptions AS r USING (campaign_id)
    WHERE c.campaign_id = $1 AND c.period_days IS NOT NULL AND r.state IN ('reserved', 'kept', 'confirmed')
)
SELECT format('customer %s, uses within %s days', customer_id, period_days) AS subject,
    format('at most %s', uses_max) AS expected, max(uses)::text AS found, NULL::bigint AS difference,
    count(*) OVER () AS total
FROM made WHERE uses > uses_max
GROUP BY customer_id, period_days, uses_max
ORDER BY customer_id LIMIT $2;

-- name: verify_effects :many
-- What a redemption was computed with stands in the revision that it names.
SELECT format('redemption %s', r.redemption_id) AS subject,
    coalesce(format('revision %s: %s %s', v.revision, v.content ->> 'effect', v.content -> 'effect_parameters'),
        'a revision of its campaign') AS expected,
    format('revision %s: %s %s', r.campaign_revision, r.effect, coalesce(r.effect_parameters, to_jsonb(r.credit_minor)))
        AS found,
    NULL::bigint AS difference, count(*) OVER () AS total
FROM redemptions AS r
LEFT JOIN campaign_revisions AS v ON v.campaign_id = r.campaign_id AND v.revision = r.campaign_revision
WHERE r.campaign_id = $1 AND r.effect IS NOT NULL AND (
    v.revision IS NULL
    OR v.content ->> 'effect' <> r.effect
    OR v.content ->> 'currency' <> r.currency
    OR NOT v.content -> 'effect_parameters'
        @> coalesce(r.effect_parameters, jsonb_build_object('amount_minor', r.credit_minor))
)
ORDER BY r.redemption_id LIMIT $2;

-- name: verify_states :many
-- A state and the moments that go with it.
WITH said AS (
    SELECT redemption_id, state, array_remove(ARRAY[
        CASE WHEN kept_at IS NOT NULL AND state <> 'confirmed' THEN 'kept' END,
        CASE WHEN confirmed_at IS NOT NULL THEN 'confirmed' END,
        CASE WHEN rolled_back_at IS NOT NULL THEN 'rolled_back' END,
        CASE WHEN expired_at IS NOT NULL THEN 'expired' END,
        CASE WHEN restored_at IS NOT NULL THEN 'restored' END
    ], NULL) AS moments
    FROM redemptions WHERE campaign_id = $1
), compared AS (
    SELECT redemption_id, state, moments, CASE state
        WHEN 'kept' THEN '{kept}'::text[] WHEN 'confirmed' THEN '{confirmed}' WHEN 'rolled_back' THEN '{rolled_back}'
        WHEN 'expired' THEN '{expired}' WHEN 'restored' THEN '{confirmed,restored}' ELSE '{}'
    END AS expected
    FROM said
)
SELECT format('redemption %s, %s', redemption_id, state) AS subject,
    format('moments of {%s}', array_to_string(expected, ', ')) AS expected,
    format('moments of {%s}', array_to_string(moments, ', ')) AS found, NULL::bigint AS difference,
    count(*) OVER () AS total
FROM compared WHERE moments <> expected
ORDER BY redemption_id LIMIT $2;

-- name: verify_moments :many
SELECT format('redemption %s', r.redemption_id) AS subject,
    format('made, kept, confirmed, restored in this order, up to %s', c.last_at) AS expected,
    format('made %s, then %s', r.created_at, concat_ws(
        ', ', r.kept_at, r.confirmed_at, r.rolled_back_at, r.expired_at, r.restored_at)) AS found,
    NULL::bigint AS difference, count(*) OVER () AS total
FROM redemptions AS r JOIN campaigns AS c USING (campaign_id)
WHERE c.campaign_id = $1 AND (
    r.created_at > least(r.kept_at, r.confirmed_at, r.rolled_back_at, r.expired_at, r.restored_at)
    OR r.kept_at > r.confirmed_at OR r.confirmed_at > r.restored_at
    OR greatest(r.created_at, r.kept_at, r.confirmed_at, r.rolled_back_at, r.expired_at, r.restored_at) > c.last_at
)
ORDER BY r.redemption_id LIMIT $2;

-- name: verify_overdue :many
-- A sweep comes every few seconds; after an hour none has come at all.
SELECT format('redemption %s', redemption_id) AS subject, format('ended soon after %s', expires_at) AS expected,
    state AS found, NULL::bigint AS difference, count(*) OVER () AS total
FROM redemptions
WHERE campaign_id = $1 AND state = 'reserved' AND expires_at < clock_timestamp() - interval '1 hour'
ORDER BY redemption_id LIMIT $2;

-- name: verify_wallet_answers :many
SELECT format('redemption %s', r.redemption_id) AS subject,
    format('an earlier redemption of voucher %s kept by customer %s', r.voucher_id, r.customer_id) AS expected,
    'none' AS found, NULL::bigint AS difference, count(*) OVER () AS total
FROM redemptions AS r
WHERE r.campaign_id = $1 AND r.state = 'in_wallet' AND NOT EXISTS (
    SELECT FROM redemptions AS k
    WHERE k.customer_id = r.customer_id AND k.voucher_id = r.voucher_id AND k.kept_at <= r.created_at
)
ORDER BY r.redemption_id LIMIT $2;

-- name: verify_tombstones :many
-- What never came has nothing but its names; all else has its terms, and a benefit unless it came from the wallet.
SELECT format('redemption %s, %s', redemption_id, state) AS subject,
    CASE state WHEN 'tombstone' THEN 'no terms, no benefit' WHEN 'in_wallet' THEN 'terms, no benefit'
        ELSE 'terms, benefit' END AS expected,
    format('%s of 5 terms, %s', num_nonnulls(order_id, currency, lines_digest, redemptions_digest, expires_at),
        coalesce(effect, 'no benefit')) AS found,
    NULL::bigint AS difference, count(*) OVER () AS total
FROM redemptions
WHERE campaign_id = $1 AND (
    num_nonnulls(order_id, currency, lines_digest, redemptions_digest, expires_at)
        <> CASE state WHEN 'tombstone' THEN 0 ELSE 5 END
    OR (effect IS NULL) <> (state IN ('in_wallet', 'tombstone'))
)
ORDER BY redemption_id LIMIT $2;

-- name: verify_redemptions_campaign :many
SELECT format('redemption %s, voucher %s', r.redemption_id, r.voucher_id) AS subject,
    format('campaign %s', r.campaign_id) AS expected,
    coalesce(format('campaign %s', v.campaign_id), 'no such voucher') AS found,
    NULL::bigint AS difference, count(*) OVER () AS total
FROM redemptions AS r LEFT JOIN vouchers AS v USING (voucher_id)
WHERE r.campaign_id = $1 AND r.campaign_id IS DISTINCT FROM v.campaign_id
ORDER BY r.redemption_id LIMIT $2;

-- name: verify_revision_gaps :many
WITH found AS (
    SELECT count(*) AS count, max(revision) AS newest, bool_or(is_early) AS is_early
    FROM (
        SELECT revision, changed_at < lag(changed_at) OVER (ORDER BY revision) AS is_early
        FROM campaign_revisions WHERE campaign_id = $1
    ) AS revisions
)
SELECT 'campaign, revisions' AS subject, format('%s, up to %s', c.revision, c.revision) AS expected,
    format('%s, up to %s%s', found.count, coalesce(found.newest, 0),
        CASE WHEN found.is_early THEN ', one earlier than the one before it' ELSE '' END) AS found,
    NULL::bigint AS difference, 1::bigint AS total
FROM campaigns AS c CROSS JOIN found
WHERE c.campaign_id = $1
    AND (found.count <> c.revision OR found.newest IS DISTINCT FROM c.revision OR found.is_early) LIMIT $2;

-- name: verify_revision_differs :many
-- The row against its newest revision, column by column.
WITH compared AS (
    SELECT was.key, was.value AS expected, found.value AS found
    FROM campaigns AS c
    JOIN campaign_revisions AS r ON r.campaign_id = c.campaign_id AND r.revision = c.revision
    CROSS JOIN LATERAL jsonb_each(to_jsonb(jsonb_populate_record(c, r.content))) AS was
    JOIN LATERAL jsonb_each(to_jsonb(c)) AS found USING (key)
    WHERE c.campaign_id = $1
)
SELECT format('campaign, %s', key) AS subject, expected::text, found::text, NULL::bigint AS difference,
    count(*) OVER () AS total
FROM compared WHERE expected <> found
ORDER BY key LIMIT $2;

-- name: walk_redemptions :many
-- All of a campaign, with what discounts were computed from.
SELECT * FROM redemptions WHERE campaign_id = $1;

-- name: verify_stacks :many
-- Of the whole database, as the ones below: the redemptions of one request may be of several campaigns.
SELECT format('redemptions %s', string_agg(redemption_id::text, ', ' ORDER BY redemption_id)) AS subject,
    'one customer, order, currency, expiry and moment' AS expected,
    format('%s customers, %s orders, %s currencies, %s expiries, %s moments', count(DISTINCT customer_id),
        count(DISTINCT order_id), count(DISTINCT currency), count(DISTINCT expires_at), count(DISTINCT created_at)) AS found,
    NULL::bigint AS difference, count(*) OVER () AS total
FROM redemptions WHERE state <> 'tombstone'
GROUP BY redemptions_digest
HAVING count(*) > 1 AND count(DISTINCT (order_id, customer_id, currency, lines_digest, created_at, expires_at)) > 1
ORDER BY min(redemption_id::text) LIMIT $1;

-- name: verify_unowned :many
-- Rows whose campaign is not there; a tombstone of a voucher that did not exist names none.
WITH unowned AS (
    SELECT format('redemption %s, %s', redemption_id, state) AS subject, coalesce(campaign_id::text, 'none') AS found
    FROM redemptions AS r
    WHERE CASE WHEN campaign_id IS NULL THEN state <> 'tombstone' OR voucher_id IS NOT NULL
        ELSE NOT EXISTS (SELECT FROM campaigns AS c WHERE c.campaign_id = r.campaign_id) END
    UNION ALL
    SELECT format('voucher %s', voucher_id), campaign_id::text FROM vouchers AS v
    WHERE NOT EXISTS (SELECT FROM campaigns AS c WHERE c.campaign_id = v.campaign_id)
    UNION ALL
    SELECT format('voucher %s of batch %s', voucher_id, batch_id), v.campaign_id::text
    FROM vouchers AS v LEFT JOIN code_batches AS b USING (batch_id)
    WHERE v.batch_id IS NOT NULL AND b.campaign_id IS DISTINCT FROM v.campaign_id
)
SELECT subject, 'a campaign' AS expected, found, NULL::bigint AS difference, count(*) OVER () AS total
FROM unowned
ORDER BY subject LIMIT $1;

-- name: count_unowned :one
SELECT count(*) AS redemptions FROM redemptions WHERE campaign_id IS NULL;

-- name: list_units :many
-- What is to be verified, and about how many redemptions that is.
SELECT campaign_id, reserved + kept + confirmed + rolled_back + expired + restored AS redemptions
FROM campaigns WHERE $1::uuid[] = '{}' OR campaign_id = ANY ($1) ORDER BY campaign_id;

-- name: read_period :one
-- Just less than the period within which a customer's uses are limited; nothing without such a limit.
SELECT coalesce(period_days * interval '24 hours' - interval '1 microsecond', interval '0') AS period
FROM campaigns WHERE campaign_id = $1;

-- name: list_due_units :many
SELECT unit FROM (SELECT campaign_id AS unit FROM campaigns UNION ALL SELECT $2::uuid) AS units
WHERE NOT EXISTS (
    SELECT FROM verifications AS v WHERE v.unit = units.unit AND v.verified_at > clock_timestamp() - $1::interval
)
ORDER BY unit;

-- name: lock_verification :one
-- One scheduled verification of a unit at a time, on whichever replica; and none when it has been verified meanwhile.
SELECT pg_try_advisory_xact_lock(1903527285, hashtext($1::uuid::text)) AS is_locked,
    EXISTS (SELECT FROM verifications WHERE unit = $1 AND verified_at > clock_timestamp() - $2::interval) AS is_done;

-- name: upsert_findings :many
-- Found again is seen again: one row for ever. Says which ones are new.
INSERT INTO findings (unit, digest, kind, subject, expected, found, first_seen_at, last_seen_at)
SELECT *, $7::timestamptz, $7::timestamptz
FROM unnest($1::uuid[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[])
ON CONFLICT (digest) DO UPDATE SET last_seen_at = excluded.last_seen_at
RETURNING digest, first_seen_at = last_seen_at AS is_new;

-- name: upsert_verification :one
-- The time of one verification is after that of the one before it, on whichever machine.
INSERT INTO verifications AS v (unit, verified_at, redemptions, finding_count) VALUES ($1, clock_timestamp(), $2, $3)
ON CONFLICT (unit) DO UPDATE SET
    verified_at = greatest(excluded.verified_at, v.verified_at + interval '1 microsecond'),
    redemptions = excluded.redemptions, finding_count = excluded.finding_count
RETURNING verified_at;

-- name: list_findings :many
SELECT f.unit, f.kind, f.subject, f.digest, f.expected, f.found, f.first_seen_at, f.last_seen_at
FROM findings AS f
WHERE (f.first_seen_at, f.digest) < ($1::timestamptz, $2::bytea)
    AND (NOT $3::boolean OR EXISTS (
        SELECT FROM verifications AS v WHERE v.unit = f.unit AND v.verified_at = f.last_seen_at))
ORDER BY f.first_seen_at DESC, f.digest DESC LIMIT $4;
