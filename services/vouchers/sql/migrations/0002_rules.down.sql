-- Refused by the older constraints while there are effects or states that they do not know.
ALTER TABLE redemptions
    DROP CONSTRAINT redemptions_state,
    DROP CONSTRAINT redemptions_way,
    DROP CONSTRAINT redemptions_benefit,
    ADD COLUMN effect_minor bigint;

UPDATE redemptions SET effect_minor = CASE effect
    WHEN 'credit_grant' THEN credit_minor ELSE (effect_parameters ->> 'amount_minor')::bigint
END
WHERE effect IS NOT NULL;

ALTER TABLE redemptions
    DROP COLUMN facts_digest,
    DROP COLUMN campaign_revision,
    DROP COLUMN effect_parameters,
    DROP COLUMN credit_minor,
    DROP COLUMN expired_at,
    DROP COLUMN restored_at,
    DROP COLUMN restore_cause,
    ADD CONSTRAINT redemptions_state CHECK (
        state IN ('reserved', 'kept', 'confirmed', 'rolled_back', 'in_wallet', 'tombstone')
    ),
    ADD CONSTRAINT redemptions_way CHECK (
        CASE state
            WHEN 'kept' THEN kept_at IS NOT NULL AND num_nonnulls(confirmed_at, rolled_back_at) = 0
            WHEN 'confirmed' THEN confirmed_at IS NOT NULL AND rolled_back_at IS NULL
            WHEN 'rolled_back' THEN rolled_back_at IS NOT NULL AND num_nonnulls(kept_at, confirmed_at) = 0
            ELSE num_nonnulls(kept_at, confirmed_at, rolled_back_at) = 0
        END
    ),
    ADD CONSTRAINT redemptions_benefit CHECK (
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
    );
DROP INDEX redemptions_of_customer;
DROP INDEX redemptions_of_campaign;

DROP INDEX vouchers_assigned;
DROP INDEX vouchers_shared;
ALTER TABLE vouchers DROP COLUMN customer_id;

DROP INDEX campaigns_listed;
ALTER TABLE campaigns
    ADD COLUMN effect_minor bigint CHECK (effect_minor > 0),
    ADD COLUMN credit_priority integer CHECK (credit_priority >= 0),
    ADD COLUMN credit_valid_days integer CHECK (credit_valid_days >= 0);
UPDATE campaigns SET
    effect_minor = (effect_parameters ->> 'amount_minor')::bigint,
    credit_priority = (effect_parameters ->> 'priority')::integer,
    credit_valid_days = (effect_parameters ->> 'valid_days')::integer;
ALTER TABLE campaigns
    ALTER COLUMN effect_minor SET NOT NULL,
    DROP CONSTRAINT campaigns_effect,
    DROP CONSTRAINT campaigns_ended,
    DROP CONSTRAINT campaigns_period,
    DROP CONSTRAINT campaigns_budget,
    DROP CONSTRAINT campaigns_counted,
    DROP COLUMN effect_parameters,
    DROP COLUMN state,
    DROP COLUMN revision,
    DROP COLUMN ended_at,
    DROP COLUMN uses_per_period_max,
    DROP COLUMN period_days,
    DROP COLUMN budget_minor,
    DROP COLUMN included_product_ids,
    DROP COLUMN included_categories,
    DROP COLUMN excluded_product_ids,
    DROP COLUMN excluded_categories,
    DROP COLUMN included_customer_ids,
    DROP COLUMN excluded_customer_ids,
    DROP COLUMN first_order_only,
    DROP COLUMN qualification,
    DROP COLUMN stacking,
    DROP COLUMN stacking_priority,
    DROP COLUMN on_refund,
    DROP COLUMN on_cancel,
    DROP COLUMN listed,
    DROP COLUMN codes,
    DROP COLUMN reserved,
    DROP COLUMN kept,
    DROP COLUMN confirmed,
    DROP COLUMN rolled_back,
    DROP COLUMN expired,
    DROP COLUMN restored,
    DROP COLUMN spent_minor,
    ADD CONSTRAINT campaigns_effect_check CHECK (effect IN ('credit_grant', 'amount_off')),
    ADD CONSTRAINT campaigns_credit CHECK (
        num_nonnulls(credit_priority, credit_valid_days) = CASE effect WHEN 'credit_grant' THEN 2 ELSE 0 END
    );
