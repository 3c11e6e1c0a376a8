-- Campaigns, their codes and the redemptions of them. Amounts are in minor units of the currency.

-- A campaign is the only row that is ever locked: everything that belongs to it is decided under its lock.
CREATE TABLE campaigns (
    campaign_id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    effect text NOT NULL CHECK (effect IN ('credit_grant', 'amount_off')),
    effect_minor bigint NOT NULL CHECK (effect_minor > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    credit_priority integer CHECK (credit_priority >= 0),
    credit_valid_days integer CHECK (credit_valid_days >= 0),
    uses_max bigint CHECK (uses_max > 0),
    uses_per_customer_max integer NOT NULL CHECK (uses_per_customer_max > 0),
    starts_at timestamptz,
    ends_at timestamptz,
    order_minimum_minor bigint NOT NULL CHECK (order_minimum_minor >= 0),
    uses bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    CONSTRAINT campaigns_credit CHECK (
        num_nonnulls(credit_priority, credit_valid_days) = CASE effect WHEN 'credit_grant' THEN 2 ELSE 0 END
    ),
    CONSTRAINT campaigns_window CHECK (ends_at > starts_at),
    -- A counter that would leave its range is a bug; it is never clamped.
    CONSTRAINT campaigns_uses CHECK (uses >= 0 AND (uses_max IS NULL OR uses <= uses_max)),
    CONSTRAINT campaigns_time CHECK (last_at >= created_at)
-- Every group writes its campaigns' counters: they change in place, without touching an index.
) WITH (fillfactor = 10);

CREATE TABLE vouchers (
    voucher_id uuid PRIMARY KEY,
    campaign_id uuid NOT NULL REFERENCES campaigns,
    code text NOT NULL,
    -- Letters in capitals and digits only: what customers' spellings are compared with.
    code_normal text NOT NULL,
    uses_max bigint CHECK (uses_max > 0),
    uses bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    CONSTRAINT vouchers_code_key UNIQUE (code_normal),
    CONSTRAINT vouchers_code_normal CHECK (
        code_normal = upper(regexp_replace(code COLLATE "C", '[^A-Za-z0-9]', '', 'g'))
    ),
    CONSTRAINT vouchers_campaign_key UNIQUE (campaign_id, voucher_id),
    CONSTRAINT vouchers_uses CHECK (uses >= 0 AND (uses_max IS NULL OR uses <= uses_max))
) WITH (fillfactor = 80);

-- One row under each redemption's id, whatever became of it; refusals leave none.
CREATE TABLE redemptions (
    redemption_id uuid PRIMARY KEY,
    customer_id uuid NOT NULL,
    voucher_id uuid,
    campaign_id uuid,
    state text NOT NULL,
    -- What a repetition of the request must have equal; lines and stack as digests.
    order_id uuid,
    currency text,
    lines_digest bytea,
    redemptions_digest bytea,
    -- What was reserved, with its inputs: `lines` is [[line number, what was left of it, discount], ...].
    effect text,
    effect_minor bigint,
    discount_minor bigint,
    lines jsonb,
    credit_priority integer,
    credit_expires_at timestamptz,
    expires_at timestamptz,
    created_at timestamptz NOT NULL,
    kept_at timestamptz,
    confirmed_at timestamptz,
    rolled_back_at timestamptz,
    CONSTRAINT redemptions_voucher FOREIGN KEY (campaign_id, voucher_id) REFERENCES vouchers (campaign_id, voucher_id),
    CONSTRAINT redemptions_state CHECK (
        state IN ('reserved', 'kept', 'confirmed', 'rolled_back', 'in_wallet', 'tombstone')
    ),
    -- The moments say which way a redemption went, so that a forbidden way cannot be written down.
    CONSTRAINT redemptions_way CHECK (
        CASE state
            WHEN 'kept' THEN kept_at IS NOT NULL AND num_nonnulls(confirmed_at, rolled_back_at) = 0
            WHEN 'confirmed' THEN confirmed_at IS NOT NULL AND rolled_back_at IS NULL
            WHEN 'rolled_back' THEN rolled_back_at IS NOT NULL AND num_nonnulls(kept_at, confirmed_at) = 0
            ELSE num_nonnulls(kept_at, confirmed_at, rolled_back_at) = 0
        END
    ),
    CONSTRAINT redemptions_kept CHECK (kept_at IS NULL OR effect = 'credit_grant'),
    CONSTRAINT redemptions_request CHECK (
        num_nonnulls(order_id, currency, lines_digest, redemptions_digest, expires_at)
            = CASE state WHEN 'tombstone' THEN 0 ELSE 5 END
    ),
    -- Only the tombstone of a voucher that did not exist names none.
    CONSTRAINT redemptions_voucher_known CHECK (
        num_nonnulls(campaign_id, voucher_id) = 2
        OR state = 'tombstone' AND num_nonnulls(campaign_id, voucher_id) = 0
    ),
    -- What was reserved has a benefit, nothing else has.
    CONSTRAINT redemptions_has_benefit CHECK ((effect IS NULL) = (state IN ('in_wallet', 'tombstone'))),
    CONSTRAINT redemptions_benefit CHECK (
        CASE effect
            WHEN 'credit_grant' THEN
                num_nonnulls(effect_minor, discount_minor, credit_priority) = 3
                AND effect_minor > 0 AND discount_minor = 0 AND lines IS NULL
            WHEN 'amount_off' THEN
                num_nonnulls(effect_minor, discount_minor, lines) = 3
                AND effect_minor > 0 AND discount_minor BETWEEN 0 AND effect_minor
                AND num_nonnulls(credit_priority, credit_expires_at) = 0
            ELSE
                num_nonnulls(effect, effect_minor, discount_minor, lines, credit_priority, credit_expires_at) = 0
        END
    )
);
-- A customer's uses of a campaign are counted from here, not stored: they cannot disagree with the rows.
CREATE INDEX redemptions_counted ON redemptions (campaign_id, customer_id)
    WHERE state IN ('reserved', 'kept', 'confirmed');
CREATE INDEX redemptions_of_voucher ON redemptions (voucher_id, created_at);
-- Reservations that nobody ended.
CREATE INDEX redemptions_expiry ON redemptions (expires_at) WHERE state = 'reserved';

GRANT SELECT, INSERT ON campaigns, vouchers, redemptions TO {app_role};
GRANT UPDATE (uses, last_at) ON campaigns TO {app_role};
GRANT UPDATE (uses) ON vouchers TO {app_role};
GRANT UPDATE (state, kept_at, confirmed_at, rolled_back_at) ON redemptions TO {app_role};
