-- name: check_tables :one
-- Asked at every readiness check: fails until the migrations have run.
SELECT EXISTS (SELECT FROM fingerprint_keys) AS has_key;

-- name: read_fingerprint_key :one
-- Once by each process.
SELECT key FROM fingerprint_keys;

-- name: insert_customer :exec
-- The lock row of a customer who was not seen before; it holds no fact, so a second one at once changes nothing.
INSERT INTO customers (customer_id) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: lock_customer :one
-- Alone in its statement: the statements after it see all that was committed while this one waited.
SELECT customer_id FROM customers WHERE customer_id = $1 FOR UPDATE;

-- name: lock_customer_of_order :one
-- The same for commands that name only the order, which never changes its customer.
SELECT c.customer_id FROM customers AS c JOIN orders AS o USING (customer_id) WHERE o.order_id = $1 FOR UPDATE OF c;

-- name: find_order_state :one
-- Whether an order is known, without reading all of it.
SELECT state FROM orders WHERE order_id = $1;

-- name: find_order_of_session :one
-- For webhooks that name only the provider's session.
SELECT order_id FROM payments WHERE provider = $1 AND session_id = $2;

-- name: load_order :one
-- An order with its payment, and the time; always one row, also when neither is there.
SELECT clock_timestamp() AS now,
    o.order_id, o.customer_id, o.currency, o.use_credits, o.expected_subtotal_minor, o.expected_discount_minor,
    o.expected_credits_minor, o.expected_amount_due_minor, o.payment_provider, o.payment_window_s, o.place_timeout_s,
    o.request_fingerprint, o.created_at, o.state, o.updated_at, o.subtotal_minor, o.discount_minor, o.credits_minor,
    o.amount_due_minor, o.handed_over_at, o.settling_at, o.placed_at, o.ended_at, o.undone_at, o.refusal_status,
    o.refusal_domain, o.refusal_reason, o.refusal_metadata, o.refusal_message,
    ARRAY(
        SELECT (l.line_number, l.product_id, l.price_id, l.quantity, l.amount_minor, l.discount_minor)
        FROM order_lines AS l WHERE l.order_id = o.order_id ORDER BY l.line_number
    ) AS lines,
    ARRAY(
        SELECT (v.voucher_id, v.masked_code)
        FROM order_vouchers AS v WHERE v.order_id = o.order_id ORDER BY v.position
    ) AS vouchers,
    p.payment_id, p.order_id AS payment_order_id, p.created_at AS payment_created_at, p.provider, p.amount_minor,
    p.currency AS payment_currency, p.idempotency_key, p.requested_expires_at, p.session_id, p.url, p.expires_at,
    p.state AS payment_state, p.updated_at AS payment_updated_at, p.provider_payment_id, p.paid_at, p.is_late,
    p.mismatch, p.closing_at, p.closed_at,
    (
        SELECT coalesce(sum(r.amount_minor), 0)::bigint FROM refunds AS r
        WHERE r.order_id = p.order_id AND r.provider = p.provider AND r.state = 'refunded'
            AND r.provider_payment_id = p.provider_payment_id
    ) AS refunded_minor
FROM (SELECT $1::uuid AS order_id) AS wanted
LEFT JOIN orders AS o USING (order_id)
LEFT JOIN payments AS p USING (order_id);

-- name: find_in_flight :one
-- The order that holds the customer's one slot.
SELECT order_id, state FROM orders
WHERE customer_id = $1 AND state IN ('pending', 'awaiting_payment', 'settling');

-- name: count_placed_orders :one
-- Those placed by a moment. Of the moment of an order's creation the answer never changes, however often that order's
-- steps are repeated: the order itself is placed later, and no other one on its way beside it.
SELECT count(*) AS orders_placed FROM orders
WHERE customer_id = $1 AND state = 'placed' AND placed_at <= coalesce($2, 'infinity'::timestamptz);

-- name: find_open_orders :many
-- Orders that are neither placed nor undone and have not changed for $2 seconds, from behind $1 on.
SELECT order_id FROM orders
WHERE placed_at IS NULL AND undone_at IS NULL AND order_id > $1
    AND updated_at <= clock_timestamp() - make_interval(secs => $2)
ORDER BY order_id LIMIT $3;

-- name: load_products :many
SELECT product_id, name FROM products WHERE product_id = ANY ($1::uuid[]);

-- name: load_prices :many
SELECT price_id, product_id, currency, unit_amount_minor FROM prices WHERE price_id = ANY ($1::uuid[]);

-- name: insert_product :exec
INSERT INTO products (product_id, name) VALUES ($1, $2);

-- name: insert_price :exec
INSERT INTO prices (price_id, product_id, currency, unit_amount_minor) VALUES ($1, $2, $3, $4);

-- name: insert_order :exec
INSERT INTO orders (
    order_id, customer_id, currency, use_credits, expected_subtotal_minor, expected_discount_minor,
    expected_credits_minor, expected_amount_due_minor, payment_provider, payment_window_s, place_timeout_s,
    request_fingerprint, created_at, state, updated_at, subtotal_minor, discount_minor, credits_minor,
    amount_due_minor, handed_over_at, settling_at, placed_at, ended_at, undone_at, refusal_status, refusal_domain,
    refusal_reason, refusal_metadata, refusal_message
) VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
    $25, $26, $27, $28, $29
);

-- name: insert_order_lines :exec
INSERT INTO order_lines (order_id, line_number, price_id, quantity, product_id, amount_minor, discount_minor)
SELECT $1, line_number, price_id, quantity, product_id, amount_minor, discount_minor
FROM unnest($2::integer[], $3::uuid[], $4::bigint[], $5::uuid[], $6::bigint[], $7::bigint[])
    AS line (line_number, price_id, quantity, product_id, amount_minor, discount_minor);

-- name: insert_order_vouchers :exec
INSERT INTO order_vouchers (order_id, position, voucher_id, masked_code)
SELECT $1, position, voucher_id, masked_code
FROM unnest($2::integer[], $3::uuid[], $4::text[]) AS voucher (position, voucher_id, masked_code);

-- name: update_order :exec
-- All that can change; the rest of the row is the order as it was asked for.
UPDATE orders SET
    state = $2, updated_at = $3, subtotal_minor = $4, discount_minor = $5, credits_minor = $6, amount_due_minor = $7,
    handed_over_at = $8, settling_at = $9, placed_at = $10, ended_at = $11, undone_at = $12, refusal_status = $13,
    refusal_domain = $14, refusal_reason = $15, refusal_metadata = $16, refusal_message = $17
WHERE order_id = $1;

-- name: update_line_discounts :exec
UPDATE order_lines AS l SET discount_minor = line.discount_minor
FROM unnest($2::integer[], $3::bigint[]) AS line (line_number, discount_minor)
WHERE l.order_id = $1 AND l.line_number = line.line_number;

-- name: insert_payment :exec
INSERT INTO payments (
    payment_id, order_id, created_at, provider, amount_minor, currency, idempotency_key, requested_expires_at,
    session_id, url, expires_at, state, updated_at, provider_payment_id, paid_at, is_late, mismatch, closing_at,
    closed_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19);

-- name: update_payment :exec
-- All that can change; the request to the provider never does.
UPDATE payments SET
    session_id = $2, url = $3, expires_at = $4, state = $5, updated_at = $6, provider_payment_id = $7, paid_at = $8,
    is_late = $9, mismatch = $10, closing_at = $11, closed_at = $12
WHERE payment_id = $1;

-- name: find_event :one
-- Whether a webhook came before.
SELECT status FROM webhook_events WHERE provider = $1 AND event_id = $2;

-- name: insert_event :exec
-- Stored once, in the transaction that applies it: a redelivery after a crash finds all of it or nothing.
INSERT INTO webhook_events (
    provider, event_id, kind, order_id, session_id, raw_body, status, error, received_at, processed_at, told_at
) VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp(), CASE WHEN $10::boolean THEN clock_timestamp() END
);

-- name: load_receipts :many
-- The order's receipts, and the one that a command speaks of, whoever's it is.
SELECT provider, provider_payment_id, order_id, amount_minor, currency, paid_at, standing, why, created_at
FROM receipts WHERE order_id = $1
UNION
SELECT provider, provider_payment_id, order_id, amount_minor, currency, paid_at, standing, why, created_at
FROM receipts WHERE provider = $2 AND provider_payment_id = $3;

-- name: load_refunds :many
SELECT refund_id, order_id, provider, provider_payment_id, amount_minor, currency, reason, source, state,
    idempotency_key, provider_refund_id, failure, completed_at, created_at, updated_at
FROM refunds WHERE order_id = $1 ORDER BY created_at, refund_id;

-- name: find_refund :one
-- For callers that name the refund alone.
SELECT refund_id, order_id, provider, provider_payment_id, amount_minor, currency, reason, source, state,
    idempotency_key, provider_refund_id, failure, completed_at, created_at, updated_at
FROM refunds WHERE refund_id = $1;

-- name: find_receipt :one
SELECT provider, provider_payment_id, order_id, amount_minor, currency, paid_at, standing, why, created_at
FROM receipts WHERE provider = $1 AND provider_payment_id = $2;

-- name: insert_receipt :exec
INSERT INTO receipts (
    provider, provider_payment_id, order_id, amount_minor, currency, paid_at, standing, why, created_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: update_receipt :exec
UPDATE receipts SET standing = $3, why = $4 WHERE provider = $1 AND provider_payment_id = $2;

-- name: insert_refund :exec
INSERT INTO refunds (
    refund_id, order_id, provider, provider_payment_id, amount_minor, currency, reason, source, idempotency_key,
    created_at, state, provider_refund_id, failure, completed_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);

-- name: update_refund :exec
UPDATE refunds SET state = $2, provider_refund_id = $3, failure = $4, completed_at = $5, updated_at = $6
WHERE refund_id = $1;

-- name: put_dispute :exec
-- The provider's newest word; events about one dispute come one after the other, and a person looks at it anyway.
INSERT INTO disputes (
    provider, dispute_id, provider_payment_id, order_id, amount_minor, currency, state, created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
ON CONFLICT (provider, dispute_id) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at;

-- name: put_findings :many
-- Each once, however often it is found; answers the new ones.
INSERT INTO payment_findings (kind, provider, subject, order_id, details)
SELECT kind, provider, subject, order_id, details::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::text[])
    AS found (kind, provider, subject, order_id, details)
ON CONFLICT DO NOTHING
RETURNING kind, provider, subject;

-- name: list_findings :many
-- In the order in which they were stored, from behind the one with this number on.
SELECT finding_number, kind, provider, subject, order_id, details, found_at FROM payment_findings
WHERE finding_number > $1 ORDER BY finding_number LIMIT $2;

-- name: find_unreturned :many
-- Receipts that no order stands for and of which something is left, and how much: their workflow is started (again).
-- Not those that the provider has refused to give back: that is a person's.
SELECT r.provider, r.provider_payment_id, r.order_id, r.amount_minor, r.currency, r.paid_at, r.standing, r.why,
    r.created_at, (r.amount_minor - f.amount_minor)::bigint AS left_minor
FROM receipts AS r
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount_minor), 0) AS amount_minor FROM refunds
    WHERE provider = r.provider AND provider_payment_id = r.provider_payment_id AND state <> 'failed'
) AS f
WHERE r.standing = 'unwanted' AND r.amount_minor > f.amount_minor AND NOT EXISTS (
    SELECT FROM refunds AS failed
    WHERE failed.provider = r.provider AND failed.provider_payment_id = r.provider_payment_id
        AND failed.state = 'failed' AND failed.source = 'ours'
        AND failed.amount_minor = r.amount_minor - f.amount_minor
)
ORDER BY r.created_at LIMIT $1;

-- name: find_uncompleted_refunds :many
-- Refunds whose workflow is not through: it is started (again).
SELECT refund_id FROM refunds WHERE completed_at IS NULL AND refund_id > $1 ORDER BY refund_id LIMIT $2;

-- name: find_unwatched :many
-- Pages that could not be closed and whose payment is still open at the provider.
SELECT order_id FROM payments WHERE state = 'pending' AND closed_at IS NOT NULL AND order_id > $1
ORDER BY order_id LIMIT $2;

-- name: find_untold_events :many
-- Webhooks that were stored, but whose workflow was perhaps not told: the process ended in between. The statement's own
-- time can be looked up in the index; the clock's, which moves on, cannot.
SELECT provider, event_id, order_id FROM webhook_events
WHERE told_at IS NULL AND received_at < statement_timestamp() - make_interval(secs => $1)
ORDER BY received_at LIMIT $2;

-- name: commit_without_waiting :exec
-- This transaction's commit does not wait for the disk: what a crash takes away is written again.
SELECT set_config('synchronous_commit', 'off', true);

-- name: mark_told :exec
UPDATE webhook_events SET told_at = clock_timestamp() WHERE provider = $1 AND event_id = $2;

-- name: sum_holdings :many
-- What has come to a provider and gone back, per currency. The ledger has a receipt for certain when its order is
-- placed or a refund of it is booked, and a refund when its workflow is through.
SELECT r.currency,
    coalesce(sum(r.amount_minor) FILTER (WHERE o.state = 'placed' OR f.booked_minor > 0), 0)::bigint
        AS received_booked_minor,
    sum(r.amount_minor)::bigint AS received_minor,
    coalesce(sum(f.booked_minor), 0)::bigint AS refunded_booked_minor,
    coalesce(sum(f.refunded_minor), 0)::bigint AS refunded_minor
FROM receipts AS r
JOIN orders AS o USING (order_id)
LEFT JOIN LATERAL (
    SELECT sum(f.amount_minor) AS refunded_minor,
        sum(f.amount_minor) FILTER (WHERE f.completed_at IS NOT NULL) AS booked_minor
    FROM refunds AS f
    WHERE f.provider = r.provider AND f.provider_payment_id = r.provider_payment_id AND f.state = 'refunded'
) AS f ON true
WHERE r.provider = $1 AND r.standing <> 'foreign'
GROUP BY r.currency ORDER BY r.currency;

-- name: list_receipts :many
-- For the comparison with a provider's list.
SELECT provider, provider_payment_id, order_id, amount_minor, currency, paid_at, standing, why, created_at
FROM receipts WHERE provider = $1 AND paid_at >= $2 AND paid_at < $3;
