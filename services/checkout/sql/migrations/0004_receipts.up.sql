-- Money that providers took and gave back, whatever became of its order. Amounts are in minor units.

-- Each success at a provider once. `applied`: it pays its order. `unwanted`: it is ours, but no order stands for it, so
-- all of it goes back. `foreign`: it is on the account for a reason that is not ours; it is only written down.
CREATE TABLE receipts (
    provider text NOT NULL,
    provider_payment_id text NOT NULL CHECK (char_length(provider_payment_id) BETWEEN 1 AND 255),
    -- No foreign key: a foreign receipt may name an order that was never ours.
    order_id uuid,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    paid_at timestamptz NOT NULL,
    standing text NOT NULL CHECK (standing IN ('applied', 'unwanted', 'foreign')),
    -- Why it is not applied, in words for an operator.
    why text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (provider, provider_payment_id),
    CONSTRAINT receipts_why CHECK ((why IS NULL) = (standing = 'applied')),
    CONSTRAINT receipts_order CHECK (order_id IS NOT NULL OR standing = 'foreign')
);
CREATE INDEX receipts_of_order ON receipts (order_id);
-- What is to go back: there are few, and they are looked for all the time.
CREATE INDEX receipts_unwanted ON receipts (created_at) WHERE standing = 'unwanted';

-- A refund is a committed row before its provider is asked, so that all of them together never exceed the receipt.
CREATE TABLE refunds (
    refund_id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders,
    provider text NOT NULL,
    provider_payment_id text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    reason text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 200),
    -- Whoever made it: we, or somebody at the provider's dashboard.
    source text NOT NULL CHECK (source IN ('ours', 'provider')),
    idempotency_key text CHECK (char_length(idempotency_key) BETWEEN 1 AND 64),
    state text NOT NULL CHECK (state IN ('pending', 'refunded', 'failed')),
    provider_refund_id text,
    failure text,
    -- From then on its workflow has nothing more to do: it is booked, or has failed for good.
    completed_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    FOREIGN KEY (provider, provider_payment_id) REFERENCES receipts,
    CONSTRAINT refunds_provider_refund_key UNIQUE (provider, provider_refund_id),
    CONSTRAINT refunds_idempotency_key UNIQUE (idempotency_key),
    CONSTRAINT refunds_source CHECK ((source = 'ours') = (idempotency_key IS NOT NULL)),
    CONSTRAINT refunds_known CHECK (state <> 'refunded' OR provider_refund_id IS NOT NULL),
    CONSTRAINT refunds_failure CHECK ((state = 'failed') = (failure IS NOT NULL)),
    CONSTRAINT refunds_completed CHECK (completed_at IS NULL OR state <> 'pending')
);
CREATE INDEX refunds_of_receipt ON refunds (provider, provider_payment_id);
CREATE INDEX refunds_of_order ON refunds (order_id);
CREATE INDEX refunds_uncompleted ON refunds (created_at) WHERE completed_at IS NULL;
-- A bank may send a refund back after it went through.
CREATE TRIGGER refunds_transition BEFORE UPDATE OF state ON refunds FOR EACH ROW EXECUTE FUNCTION refuse_step_back(
    'pending>refunded', 'pending>failed', 'failed>refunded', 'refunded>failed'
);

-- Payments that the customer's bank disputes; `state` is the provider's own word.
CREATE TABLE disputes (
    provider text NOT NULL,
    dispute_id text NOT NULL CHECK (char_length(dispute_id) BETWEEN 1 AND 255),
    provider_payment_id text NOT NULL,
    order_id uuid,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    state text NOT NULL CHECK (char_length(state) BETWEEN 1 AND 64),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (provider, dispute_id)
);

-- What a person has to look at; each once, however often it is found.
CREATE TABLE payment_findings (
    finding_number bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL CHECK (kind ~ '^[A-Z][A-Z_]{2,63}$'),
    provider text NOT NULL,
    -- What it is about: a payment, a refund, a dispute or a currency.
    subject text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 255),
    order_id uuid,
    details jsonb NOT NULL,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, provider, subject),
    CONSTRAINT payment_findings_number_key UNIQUE (finding_number)
);

-- A payment that came before this migration is a receipt like any other.
INSERT INTO receipts (
    provider, provider_payment_id, order_id, amount_minor, currency, paid_at, standing, why, created_at
)
SELECT provider, provider_payment_id, order_id, amount_minor, currency, paid_at,
    CASE WHEN is_late THEN 'unwanted' ELSE 'applied' END, CASE WHEN is_late THEN 'late' END, updated_at
FROM payments WHERE state = 'paid';

-- A page that its provider cannot close is closed for us while it is still pending there.
ALTER TABLE payments DROP CONSTRAINT payments_closed;
ALTER TABLE payments ADD CONSTRAINT payments_closed CHECK (
    closed_at IS NULL OR (closing_at IS NOT NULL AND (state IN ('pending', 'failed', 'expired') OR is_late))
);
CREATE INDEX payments_watched ON payments (closed_at) WHERE state = 'pending' AND closed_at IS NOT NULL;

ALTER TABLE webhook_events DROP CONSTRAINT webhook_events_kind_check;
ALTER TABLE webhook_events ADD CONSTRAINT webhook_events_kind_check CHECK (
    kind IN ('attempt_failed', 'failed', 'paid', 'expired', 'refund', 'dispute', 'ignored')
);
-- When its workflow was told: what a crash left untold is told again.
ALTER TABLE webhook_events ADD COLUMN told_at timestamptz;
UPDATE webhook_events SET told_at = processed_at;
CREATE INDEX webhook_events_untold ON webhook_events (received_at) WHERE told_at IS NULL;

GRANT SELECT, INSERT ON receipts, refunds, disputes, payment_findings TO {app_role};
GRANT UPDATE (standing, why) ON receipts TO {app_role};
GRANT UPDATE (state, provider_refund_id, failure, completed_at, updated_at) ON refunds TO {app_role};
GRANT UPDATE (state, updated_at) ON disputes TO {app_role};
GRANT UPDATE (told_at) ON webhook_events TO {app_role};
