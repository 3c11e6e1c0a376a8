DROP TABLE verifications;
DROP TABLE findings;
DROP INDEX vouchers_single;
DROP INDEX campaigns_newest;
DROP TABLE campaign_revisions;
REVOKE UPDATE (
    name, effect, effect_parameters, currency, uses_max, uses_per_customer_max, uses_per_period_max, period_days,
    budget_minor, starts_at, ends_at, order_minimum_minor, included_product_ids, included_categories,
    excluded_product_ids, excluded_categories, included_customer_ids, excluded_customer_ids, first_order_only,
    qualification, stacking, stacking_priority, on_refund, on_cancel, listed, state, revision, ended_at
) ON campaigns FROM {app_role};
