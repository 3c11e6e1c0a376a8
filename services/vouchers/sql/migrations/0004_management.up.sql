-- What manages campaigns and proves their counters: revisions, and what verifications found.

-- One row per change of a campaign, gapless from 1. `content` is the campaign's row without what redemptions and codes
-- move on by themselves.
CREATE TABLE campaign_revisions (
    campaign_id uuid NOT NULL REFERENCES campaigns,
    revision integer NOT NULL CHECK (revision > 0),
    change text NOT NULL,
    note text NOT NULL CHECK (char_length(note) <= 500),
    changed_at timestamptz NOT NULL,
    content jsonb NOT NULL,
    PRIMARY KEY (campaign_id, revision),
    CONSTRAINT campaign_revisions_change CHECK (
        change IN ('created', 'updated', 'started', 'paused', 'ended') AND (change = 'created') = (revision = 1)
    )
);
INSERT INTO campaign_revisions (campaign_id, revision, change, note, changed_at, content)
SELECT campaign_id, revision, 'created', '', created_at,
    to_jsonb(c) - ARRAY['uses', 'codes', 'codes_deactivated_at', 'reserved', 'kept', 'confirmed', 'rolled_back',
        'expired', 'restored', 'spent_minor', 'last_at']
FROM campaigns AS c;
CREATE INDEX campaigns_newest ON campaigns (created_at, campaign_id);
-- The codes of a campaign are those of its batches, and these.
CREATE INDEX vouchers_single ON vouchers (campaign_id, created_at) WHERE batch_id IS NULL;

-- One row per finding, however often it is found. `digest` is over what makes it this finding: not over counters that go
-- on moving while the difference between them stays. `unit`: what is verified at a time, a campaign, or what belongs to
-- none under the id that has no bits set.
CREATE TABLE findings (
    digest bytea PRIMARY KEY CHECK (length(digest) = 16),
    unit uuid NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    expected text NOT NULL,
    found text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL
);
CREATE INDEX findings_newest ON findings (first_seen_at DESC, digest DESC);

-- When each unit was verified to its end the last time, and with how many findings.
CREATE TABLE verifications (
    unit uuid PRIMARY KEY,
    verified_at timestamptz NOT NULL,
    redemptions bigint NOT NULL CHECK (redemptions >= 0),
    finding_count bigint NOT NULL CHECK (finding_count >= 0)
);

GRANT SELECT, INSERT ON campaign_revisions, findings, verifications TO {app_role};
GRANT UPDATE (last_seen_at) ON findings TO {app_role};
GRANT UPDATE (verified_at, redemptions, finding_count) ON verifications TO {app_role};
-- What an edit changes; the rules that redemptions were made under stay in the revisions.
GRANT UPDATE (
    name, effect, effect_parameters, currency, uses_max, uses_per_customer_max, uses_per_period_max, period_days,
    budget_minor, starts_at, ends_at, order_minimum_minor, included_product_ids, included_categories,
    excluded_product_ids, excluded_categories, included_customer_ids, excluded_customer_ids, first_order_only,
    qualification, stacking, stacking_priority, on_refund, on_cancel, listed, state, revision, ended_at
) ON campaigns TO {app_role};
