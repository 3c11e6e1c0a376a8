-- Statements that manage campaigns, each change in a transaction that has locked the campaign's row.

-- name: insert_campaign :one
-- Two at once under one id: the second one's insert fails, and it reads what the first one wrote.
INSERT INTO campaigns (
    campaign_id, state, name, effect, currency, effect_parameters, uses_max, uses_per_customer_max,
    uses_per_period_max, period_days, budget_minor, starts_at, ends_at, order_minimum_minor, included_product_ids,
    included_categories, excluded_product_ids, excluded_categories, included_customer_ids, excluded_customer_ids,
    first_order_only, qualification, stacking, stacking_priority, on_refund, on_cancel, listed, created_at, last_at
)
SELECT
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
    $26, $27, now, now
FROM clock_timestamp() AS now
RETURNING *;

-- name: edit_campaign :one
UPDATE campaigns SET (
    name, effect, currency, effect_parameters, uses_max, uses_per_customer_max, uses_per_period_max, period_days,
    budget_minor, starts_at, ends_at, order_minimum_minor, included_product_ids, included_categories,
    excluded_product_ids, excluded_categories, included_customer_ids, excluded_customer_ids, first_order_only,
    qualification, stacking, stacking_priority, on_refund, on_cancel, listed
) = ROW (
    $6::text, $7::text, $8::text, $9::jsonb, $10::bigint, $11::integer, $12::integer, $13::integer, $14::bigint,
    $15::timestamptz, $16::timestamptz, $17::bigint, $18::uuid[], $19::text[], $20::uuid[], $21::text[], $22::uuid[],
    $23::uuid[], $24::boolean, $25::text, $26::text, $27::integer, $28::text, $29::text, $30::boolean
), state = $2, revision = $3, ended_at = $4, last_at = $5
WHERE campaign_id = $1
RETURNING *;

-- name: insert_revision :exec
-- Of the row as it now stands, without what redemptions and codes move on by themselves.
INSERT INTO campaign_revisions (campaign_id, revision, change, note, changed_at, content)
SELECT campaign_id, revision, $2, $3, last_at,
    to_jsonb(c) - ARRAY['uses', 'codes', 'codes_deactivated_at', 'reserved', 'kept', 'confirmed', 'rolled_back',
        'expired', 'restored', 'spent_minor', 'last_at']
FROM campaigns AS c WHERE campaign_id = $1;

-- name: load_revision :one
-- Columns that came after a revision was made are those of today.
SELECT r.change, r.note, r.changed_at, was.*
FROM campaign_revisions AS r
JOIN campaigns AS c USING (campaign_id)
CROSS JOIN LATERAL jsonb_populate_record(c, r.content) AS was
WHERE r.campaign_id = $1 AND r.revision = $2;

-- name: list_revisions :many
SELECT r.change, r.note, r.changed_at, was.*
FROM campaign_revisions AS r
JOIN campaigns AS c USING (campaign_id)
CROSS JOIN LATERAL jsonb_populate_record(c, r.content) AS was
WHERE r.campaign_id = $1 AND r.revision < $2
ORDER BY r.revision DESC LIMIT $3;

-- name: most_used :one
-- By one customer: in all, and within any period of a length that a moment is taken off. Reads all of the campaign's
-- counted redemptions, which is why it is asked only when such a limit falls.
SELECT coalesce(max(in_all), 0) AS in_all, coalesce(max(in_a_period), 0) AS in_a_period
FROM (
    SELECT count(*) OVER (PARTITION BY customer_id) AS in_all,
        count(*) OVER (
            PARTITION BY customer_id ORDER BY created_at
            RANGE BETWEEN greatest($2::interval - interval '1 microsecond', interval '0') PRECEDING AND CURRENT ROW
        ) AS in_a_period
    FROM redemptions WHERE campaign_id = $1 AND state IN ('reserved', 'kept', 'confirmed')
) AS used;

-- name: list_campaigns :many
SELECT * FROM campaigns
WHERE ($1::text[] = '{}' OR state = ANY ($1)) AND (created_at, campaign_id) < ($2::timestamptz, $3::uuid)
ORDER BY created_at DESC, campaign_id DESC LIMIT $4;

-- name: list_few_codes :many
-- Made one by one or in batches, oldest first; asked only of campaigns with few.
SELECT voucher_id, code, uses, uses_max, created_at FROM vouchers WHERE campaign_id = $1 AND batch_id IS NULL
UNION ALL
SELECT v.voucher_id, v.code, v.uses, v.uses_max, v.created_at
FROM code_batches AS b JOIN vouchers AS v USING (batch_id) WHERE b.campaign_id = $1
ORDER BY created_at, voucher_id;
