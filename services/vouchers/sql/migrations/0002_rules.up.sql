-- Effects beyond fixed amounts, all rules and limits of campaigns, counters per state, expiry and restoring.

ALTER TABLE campaigns
    DROP CONSTRAINT campaigns_credit,
    DROP CONSTRAINT campaigns_effect_check,
    ADD CONSTRAINT campaigns_effect CHECK (
        effect IN ('credit_grant', 'amount_off', 'percent_off', 'free_item', 'cheapest_free', 'buy_get')
    ),
    -- The effect's numbers by name, and the products that it names.
    ADD COLUMN effect_parameters jsonb,
    ADD COLUMN state text NOT NULL DEFAULT 'active' CHECK (state IN ('draft', 'active', 'paused', 'ended')),
    ADD COLUMN revision integer NOT NULL DEFAULT 1 CHECK (revision > 0),
    ADD COLUMN ended_at timestamptz,
    ADD COLUMN uses_per_period_max integer CHECK (uses_per_period_max > 0),
    ADD COLUMN period_days integer CHECK (period_days > 0),
    ADD COLUMN budget_minor bigint CHECK (budget_minor > 0),
    ADD COLUMN included_product_ids uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN included_categories text[] NOT NULL DEFAULT '{}',
    ADD COLUMN excluded_product_ids uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN excluded_categories text[] NOT NULL DEFAULT '{}',
    ADD COLUMN included_customer_ids uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN excluded_customer_ids uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN first_order_only boolean NOT NULL DEFAULT false,
    ADD COLUMN qualification text NOT NULL DEFAULT '' CHECK (char_length(qualification) <= 1024),
    ADD COLUMN stacking text NOT NULL DEFAULT 'combinable' CHECK (stacking IN ('combinable', 'exclusive')),
    ADD COLUMN stacking_priority integer NOT NULL DEFAULT 0 CHECK (stacking_priority >= 0),
    ADD COLUMN on_refund text NOT NULL DEFAULT 'keep' CHECK (on_refund IN ('keep', 'restore')),
    ADD COLUMN on_cancel text NOT NULL DEFAULT 'restore' CHECK (on_cancel IN ('keep', 'restore')),
    ADD COLUMN listed boolean NOT NULL DEFAULT false,
    -- Codes issued, and redemptions by the state in which they are now; `uses` is the sum of the counted ones.
    ADD COLUMN codes bigint NOT NULL DEFAULT 0 CHECK (codes >= 0),
    ADD COLUMN reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    ADD COLUMN kept bigint NOT NULL DEFAULT 0 CHECK (kept >= 0),
    ADD COLUMN confirmed bigint NOT NULL DEFAULT 0 CHECK (confirmed >= 0),
    ADD COLUMN rolled_back bigint NOT NULL DEFAULT 0 CHECK (rolled_back >= 0),
    ADD COLUMN expired bigint NOT NULL DEFAULT 0 CHECK (expired >= 0),
    ADD COLUMN restored bigint NOT NULL DEFAULT 0 CHECK (restored >= 0),
    -- What the counted redemptions are worth: discounts, or credits granted.
    ADD COLUMN spent_minor bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT campaigns_ended CHECK ((ended_at IS NULL) = (state <> 'ended')),
    ADD CONSTRAINT campaigns_period CHECK (num_nonnulls(uses_per_period_max, period_days) <> 1),
    ADD CONSTRAINT campaigns_budget CHECK (spent_minor >= 0 AND (budget_minor IS NULL OR spent_minor <= budget_minor));

UPDATE campaigns SET effect_parameters = CASE effect
    WHEN 'credit_grant' THEN jsonb_build_object(
        'amount_minor', effect_minor, 'priority', credit_priority, 'valid_days', credit_valid_days
    )
    ELSE jsonb_build_object('amount_minor', effect_minor)
END;
UPDATE campaigns AS c SET codes = issued.codes
FROM (SELECT campaign_id, count(*) AS codes FROM vouchers GROUP BY campaign_id) AS issued
WHERE c.campaign_id = issued.campaign_id;
UPDATE campaigns AS c
SET reserved = made.reserved, kept = made.kept, confirmed = made.confirmed, rolled_back = made.rolled_back,
    spent_minor = made.spent_minor
FROM (
    SELECT campaign_id,
        count(*) FILTER (WHERE state = 'reserved') AS reserved,
        count(*) FILTER (WHERE state = 'kept') AS kept,
        count(*) FILTER (WHERE state = 'confirmed') AS confirmed,
        count(*) FILTER (WHERE state = 'rolled_back') AS rolled_back,
        coalesce(sum(CASE effect WHEN 'credit_grant' THEN effect_minor ELSE discount_minor END)
            FILTER (WHERE state IN ('reserved', 'kept', 'confirmed')), 0) AS spent_minor
    FROM redemptions GROUP BY campaign_id
) AS made
WHERE c.campaign_id = made.campaign_id;

ALTER TABLE campaigns
    ALTER COLUMN effect_parameters SET NOT NULL,
    DROP COLUMN effect_minor,
    DROP COLUMN credit_priority,
    DROP COLUMN credit_valid_days,
    ADD CONSTRAINT campaigns_counted CHECK (uses = reserved + kept + confirmed);
CREATE INDEX campaigns_listed ON campaigns (created_at) WHERE listed AND state = 'active';

-- A code may be for one customer alone.
ALTER TABLE vouchers ADD COLUMN customer_id uuid;
CREATE INDEX vouchers_assigned ON vouchers (customer_id) WHERE customer_id IS NOT NULL;
-- What everybody may use: the codes that a listed campaign offers.
CREATE INDEX vouchers_shared ON vouchers (campaign_id, created_at)
    WHERE customer_id IS NULL AND uses_max IS DISTINCT FROM 1;

ALTER TABLE redemptions
    DROP CONSTRAINT redemptions_state,
    DROP CONSTRAINT redemptions_way,
    DROP CONSTRAINT redemptions_benefit,
    ADD COLUMN facts_digest bytea,
    ADD COLUMN campaign_revision integer CHECK (campaign_revision > 0),
    -- The numbers that the discount was computed with. `lines` is
    -- [[line number, what was left of it, discount, quantity, role], ...]; role: 1 discounted, 2 bought, 3 both.
    ADD COLUMN effect_parameters jsonb,
    ADD COLUMN credit_minor bigint,
    ADD COLUMN expired_at timestamptz,
    ADD COLUMN restored_at timestamptz,
    ADD COLUMN restore_cause text CHECK (restore_cause IN ('refund', 'cancellation', 'decision'));

UPDATE redemptions SET
    campaign_revision = 1,
    effect_parameters = CASE effect WHEN 'amount_off' THEN jsonb_build_object('amount_minor', effect_minor) END,
    credit_minor = CASE effect WHEN 'credit_grant' THEN effect_minor ELSE 0 END
WHERE effect IS NOT NULL;

ALTER TABLE redemptions
    DROP COLUMN effect_minor,
    ADD CONSTRAINT redemptions_state CHECK (
        state IN ('reserved', 'kept', 'confirmed', 'rolled_back', 'expired', 'restored', 'in_wallet', 'tombstone')
    ),
    ADD CONSTRAINT redemptions_way CHECK (
        CASE state
            WHEN 'kept' THEN kept_at IS NOT NULL
                AND num_nonnulls(confirmed_at, rolled_back_at, expired_at, restored_at, restore_cause) = 0
            WHEN 'confirmed' THEN confirmed_at IS NOT NULL
                AND num_nonnulls(rolled_back_at, expired_at, restored_at, restore_cause) = 0
            WHEN 'rolled_back' THEN rolled_back_at IS NOT NULL
                AND num_nonnulls(kept_at, confirmed_at, expired_at, restored_at, restore_cause) = 0
            WHEN 'expired' THEN expired_at IS NOT NULL
                AND num_nonnulls(kept_at, confirmed_at, rolled_back_at, restored_at, restore_cause) = 0
            WHEN 'restored' THEN num_nonnulls(confirmed_at, restored_at, restore_cause) = 3
                AND num_nonnulls(kept_at, rolled_back_at, expired_at) = 0
            ELSE num_nonnulls(kept_at, confirmed_at, rolled_back_at, expired_at, restored_at, restore_cause) = 0
        END
    ),
    ADD CONSTRAINT redemptions_benefit CHECK (
        CASE
            WHEN effect = 'credit_grant' THEN
                num_nonnulls(credit_minor, discount_minor, credit_priority, campaign_revision) = 4
                AND credit_minor > 0 AND discount_minor = 0 AND num_nonnulls(lines, effect_parameters) = 0
            WHEN effect IN ('amount_off', 'percent_off', 'free_item', 'cheapest_free', 'buy_get') THEN
                num_nonnulls(credit_minor, discount_minor, lines, effect_parameters, campaign_revision) = 5
                AND credit_minor = 0 AND discount_minor >= 0
                AND num_nonnulls(credit_priority, credit_expires_at) = 0
            ELSE
                num_nonnulls(
                    effect, credit_minor, discount_minor, lines, effect_parameters, campaign_revision,
                    credit_priority, credit_expires_at
                ) = 0
        END
    );
CREATE INDEX redemptions_of_customer ON redemptions (customer_id, created_at);
CREATE INDEX redemptions_of_campaign ON redemptions (campaign_id, created_at);

GRANT UPDATE (reserved, kept, confirmed, rolled_back, expired, restored, spent_minor) ON campaigns TO {app_role};
GRANT UPDATE (expired_at, restored_at, restore_cause) ON redemptions TO {app_role};
