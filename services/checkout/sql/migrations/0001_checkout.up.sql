-- Customers, what is sold, orders and their payments. Amounts are in minor units of the order's currency.

-- The customer is the only row that is ever locked: whoever changes an order holds its customer.
CREATE TABLE customers (
    customer_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Never changed: an order's lines go on naming the price that they were sold at.
CREATE TABLE prices (
    price_id uuid PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES products,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    unit_amount_minor bigint NOT NULL CHECK (unit_amount_minor BETWEEN 0 AND 1000000000000),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT prices_product_key UNIQUE (price_id, product_id)
);

-- The first fields are the order as it was asked for and never change: they are enough to settle or to undo it.
CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES customers,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    use_credits boolean NOT NULL,
    expected_subtotal_minor bigint NOT NULL CHECK (expected_subtotal_minor >= 0),
    expected_discount_minor bigint NOT NULL CHECK (expected_discount_minor >= 0),
    expected_credits_minor bigint NOT NULL CHECK (expected_credits_minor >= 0),
    expected_amount_due_minor bigint NOT NULL CHECK (expected_amount_due_minor >= 0),
    payment_provider text NOT NULL,
    payment_window_s integer NOT NULL CHECK (payment_window_s > 0),
    place_timeout_s integer NOT NULL CHECK (place_timeout_s > 0),
    request_fingerprint bytea NOT NULL CHECK (octet_length(request_fingerprint) = 16),
    created_at timestamptz NOT NULL,

    state text NOT NULL CHECK (
        state IN ('pending', 'awaiting_payment', 'settling', 'placed', 'failed', 'expired', 'cancelled')
    ),
    updated_at timestamptz NOT NULL,
    -- How it is paid; all or none.
    subtotal_minor bigint CHECK (subtotal_minor BETWEEN 0 AND 1000000000000000),
    discount_minor bigint CHECK (discount_minor >= 0),
    credits_minor bigint CHECK (credits_minor >= 0),
    amount_due_minor bigint CHECK (amount_due_minor >= 0),
    -- Until this moment nobody but checkout knows the address of the pay page.
    handed_over_at timestamptz,
    settling_at timestamptz,
    placed_at timestamptz,
    ended_at timestamptz,
    -- Why it ended without being placed; all or none.
    refusal_status smallint CHECK (refusal_status BETWEEN 1 AND 16),
    refusal_domain text,
    refusal_reason text,
    refusal_metadata jsonb,
    refusal_message text,

    CONSTRAINT orders_parts_add_up CHECK (
        num_nulls(subtotal_minor, discount_minor, credits_minor, amount_due_minor) = 4
        OR coalesce(subtotal_minor = discount_minor + credits_minor + amount_due_minor, false)
    ),
    CONSTRAINT orders_refusal_whole CHECK (
        num_nulls(refusal_status, refusal_domain, refusal_reason, refusal_metadata, refusal_message) IN (0, 5)
    ),
    CONSTRAINT orders_ended CHECK (
        (state IN ('failed', 'expired', 'cancelled')) = (ended_at IS NOT NULL)
        AND (ended_at IS NULL) = (refusal_status IS NULL)
    ),
    CONSTRAINT orders_handed_over CHECK (
        CASE state WHEN 'pending' THEN handed_over_at IS NULL
            WHEN 'awaiting_payment' THEN handed_over_at IS NOT NULL ELSE true END
    ),
    -- After the pivot there is no way to an end without a sale.
    CONSTRAINT orders_settling CHECK ((state IN ('settling', 'placed')) = (settling_at IS NOT NULL)),
    CONSTRAINT orders_placed CHECK ((state = 'placed') = (placed_at IS NOT NULL)),
    CONSTRAINT orders_priced CHECK (
        state NOT IN ('awaiting_payment', 'settling', 'placed') OR amount_due_minor IS NOT NULL
    )
);
-- The customer's one slot: one order on its way at a time.
CREATE UNIQUE INDEX orders_one_in_flight ON orders (customer_id)
    WHERE state IN ('pending', 'awaiting_payment', 'settling');

-- Product and amount are missing in orders that were refused before they were priced.
CREATE TABLE order_lines (
    order_id uuid NOT NULL REFERENCES orders,
    line_number integer NOT NULL CHECK (line_number >= 1),
    price_id uuid NOT NULL,
    quantity bigint NOT NULL CHECK (quantity >= 1),
    product_id uuid,
    amount_minor bigint CHECK (amount_minor >= 0),
    discount_minor bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (order_id, line_number),
    FOREIGN KEY (price_id, product_id) REFERENCES prices (price_id, product_id),
    CONSTRAINT order_lines_priced_whole CHECK ((product_id IS NULL) = (amount_minor IS NULL)),
    CONSTRAINT order_lines_discount CHECK (discount_minor BETWEEN 0 AND coalesce(amount_minor, 0))
);

-- Never the code: it is as good as money.
CREATE TABLE order_vouchers (
    order_id uuid NOT NULL REFERENCES orders,
    position integer NOT NULL CHECK (position >= 1),
    voucher_id uuid NOT NULL,
    masked_code text NOT NULL,
    PRIMARY KEY (order_id, position)
);

-- One payment per order. No foreign key: closing what was never opened leaves a tombstone, even before its order
-- comes. A tombstone has no request.
CREATE TABLE payments (
    payment_id uuid PRIMARY KEY,
    order_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    -- The whole request to the provider, written before it is made, so that a repetition is the same request.
    provider text,
    amount_minor bigint CHECK (amount_minor > 0),
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    idempotency_key text CHECK (char_length(idempotency_key) BETWEEN 1 AND 64),
    requested_expires_at timestamptz,
    -- The provider's answer. The address is a bearer value.
    session_id text,
    url text,
    expires_at timestamptz,

    state text NOT NULL CHECK (state IN ('pending', 'paid', 'failed', 'expired')),
    updated_at timestamptz NOT NULL,
    provider_payment_id text,
    paid_at timestamptz,
    -- True: the money came after the page was closed or the order had ended, so no order stands for it.
    is_late boolean NOT NULL DEFAULT false,
    -- What the provider says that it took, where that is not what was asked for; never applied.
    mismatch text,
    -- From the first on no page is opened any more; from the second on the order's undo goes on without this payment.
    closing_at timestamptz,
    closed_at timestamptz,

    CONSTRAINT payments_order_key UNIQUE (order_id),
    CONSTRAINT payments_session_key UNIQUE (provider, session_id),
    CONSTRAINT payments_provider_payment_key UNIQUE (provider, provider_payment_id),
    CONSTRAINT payments_request_whole CHECK (
        num_nulls(provider, amount_minor, currency, idempotency_key, requested_expires_at) IN (0, 5)
    ),
    CONSTRAINT payments_session_whole CHECK (num_nulls(session_id, url, expires_at) IN (0, 3)),
    CONSTRAINT payments_tombstone CHECK (
        provider IS NOT NULL OR (state = 'expired' AND closed_at IS NOT NULL AND session_id IS NULL)
    ),
    CONSTRAINT payments_paid CHECK (
        (state = 'paid') = (paid_at IS NOT NULL) AND (state = 'paid') = (provider_payment_id IS NOT NULL)
    ),
    CONSTRAINT payments_late CHECK (state = 'paid' OR NOT is_late),
    CONSTRAINT payments_closed CHECK (
        closed_at IS NULL OR (closing_at IS NOT NULL AND (state IN ('failed', 'expired') OR is_late))
    )
);

-- Each event of a provider once, as it came.
CREATE TABLE webhook_events (
    provider text NOT NULL,
    event_id text NOT NULL CHECK (char_length(event_id) BETWEEN 1 AND 255),
    kind text NOT NULL CHECK (kind IN ('attempt_failed', 'failed', 'paid', 'expired', 'ignored')),
    order_id uuid,
    session_id text,
    raw_body bytea NOT NULL CHECK (octet_length(raw_body) <= 1048576),
    status text NOT NULL CHECK (status IN ('received', 'processing', 'completed', 'failed')),
    error text,
    received_at timestamptz NOT NULL,
    processed_at timestamptz,
    PRIMARY KEY (provider, event_id),
    CONSTRAINT webhook_events_processed CHECK ((status IN ('completed', 'failed')) = (processed_at IS NOT NULL)),
    CONSTRAINT webhook_events_error CHECK ((status = 'failed') = (error IS NOT NULL))
);

-- Steps from one state to another that are allowed, whoever writes: given as the trigger's arguments, "from>to".
CREATE FUNCTION refuse_step_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> NEW.state AND NOT (OLD.state || '>' || NEW.state) = ANY (TG_ARGV) THEN
        RAISE EXCEPTION '% cannot go from % to %', TG_TABLE_NAME, OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER orders_transition BEFORE UPDATE OF state ON orders FOR EACH ROW EXECUTE FUNCTION refuse_step_back(
    'pending>awaiting_payment', 'pending>settling', 'pending>failed', 'pending>expired', 'pending>cancelled',
    'awaiting_payment>settling', 'awaiting_payment>failed', 'awaiting_payment>expired', 'awaiting_payment>cancelled',
    'settling>placed'
);
CREATE TRIGGER payments_transition BEFORE UPDATE OF state ON payments FOR EACH ROW EXECUTE FUNCTION refuse_step_back(
    'pending>paid', 'pending>failed', 'pending>expired', 'expired>failed', 'expired>paid', 'failed>paid'
);

-- Exactly what the code does. The customer's row is only locked, which PostgreSQL allows whoever may update.
GRANT SELECT, INSERT ON customers, products, prices, orders, order_lines, order_vouchers, payments, webhook_events
    TO {app_role};
GRANT UPDATE (created_at) ON customers TO {app_role};
GRANT UPDATE (
    state, updated_at, subtotal_minor, discount_minor, credits_minor, amount_due_minor, handed_over_at, settling_at,
    placed_at, ended_at, refusal_status, refusal_domain, refusal_reason, refusal_metadata, refusal_message
) ON orders TO {app_role};
GRANT UPDATE (discount_minor) ON order_lines TO {app_role};
GRANT UPDATE (
    session_id, url, expires_at, state, updated_at, provider_payment_id, paid_at, is_late, mismatch, closing_at,
    closed_at
) ON payments TO {app_role};
