-- Codes by the million: batches, switches for many codes at once, and a limit on guessing.

-- Codes made together. A row per batch is what generating, cancelling and bringing codes along lock, before the campaign.
CREATE TABLE code_batches (
    batch_id uuid PRIMARY KEY,
    campaign_id uuid REFERENCES campaigns,
    kind text,
    state text NOT NULL,
    -- How many are wanted and how many there are; of imported ones both are how many there are.
    code_count bigint NOT NULL DEFAULT 0,
    made bigint NOT NULL DEFAULT 0,
    uses_max bigint CHECK (uses_max > 0),
    prefix text,
    group_length integer,
    separator text,
    expires_at timestamptz,
    deactivated_at timestamptz,
    -- Chunks that the database refused one after the other, and what it said.
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    failure text,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT code_batches_state CHECK (
        CASE state
            WHEN 'pending' THEN made = 0 AND code_count > 0 AND finished_at IS NULL
            WHEN 'running' THEN made BETWEEN 1 AND code_count - 1 AND finished_at IS NULL
            WHEN 'completed' THEN made = code_count
            WHEN 'failed' THEN made < code_count AND num_nonnulls(finished_at, failure) = 2
            WHEN 'cancelled' THEN made <= code_count AND num_nonnulls(finished_at, deactivated_at) = 2
            WHEN 'tombstone' THEN code_count = 0 AND made = 0
            ELSE false
        END
    ),
    -- Only the tombstone of a batch that never came names nothing.
    CONSTRAINT code_batches_known CHECK (
        num_nonnulls(campaign_id, kind) = CASE state WHEN 'tombstone' THEN 0 ELSE 2 END
    ),
    CONSTRAINT code_batches_format CHECK (
        num_nonnulls(prefix, group_length, separator) = CASE kind WHEN 'generated' THEN 3 ELSE 0 END
    )
);
CREATE INDEX code_batches_newest ON code_batches (created_at, batch_id);
CREATE INDEX code_batches_of_campaign ON code_batches (campaign_id, created_at, batch_id);
CREATE INDEX code_batches_unfinished ON code_batches (made) WHERE state IN ('pending', 'running');

-- A row per code has to be cheap: no foreign key (the batch has one, and a single code is made under its campaign's
-- lock), no expression to evaluate, two indexes that grow at their end and one that cannot.
ALTER TABLE redemptions
    DROP CONSTRAINT redemptions_voucher,
    ADD CONSTRAINT redemptions_voucher FOREIGN KEY (voucher_id) REFERENCES vouchers;
ALTER TABLE vouchers
    DROP CONSTRAINT vouchers_campaign_key,
    DROP CONSTRAINT vouchers_campaign_id_fkey,
    DROP CONSTRAINT vouchers_code_normal,
    ADD COLUMN batch_id uuid,
    -- Since when it is off by itself; its batch and its campaign's codes have switches of their own.
    ADD COLUMN deactivated_at timestamptz,
    ADD COLUMN expires_at timestamptz,
    -- Compared byte by byte, whatever language the database speaks.
    ALTER COLUMN code_normal TYPE text COLLATE "C",
    -- None for a generated code: how it is printed follows from its batch.
    ALTER COLUMN code DROP NOT NULL,
    ADD CONSTRAINT vouchers_code CHECK (code IS NOT NULL OR batch_id IS NOT NULL);
CREATE INDEX vouchers_of_batch ON vouchers (batch_id, voucher_id) WHERE batch_id IS NOT NULL;
-- A million codes that are each used twice are nothing that a campaign offers to everybody.
DROP INDEX vouchers_shared;
CREATE INDEX vouchers_shared ON vouchers (campaign_id, created_at)
    WHERE customer_id IS NULL AND uses_max IS DISTINCT FROM 1 AND batch_id IS NULL;
ALTER TABLE campaigns
    -- Codes made up to this moment are off; a batch counts with the moment it was asked for.
    ADD COLUMN codes_deactivated_at timestamptz;

-- Switches, each under its caller's id. What is in force stands in the rows that they are about.
CREATE TABLE code_changes (
    change_id uuid PRIMARY KEY,
    scope text NOT NULL CHECK (scope IN ('voucher', 'batch', 'campaign')),
    target_id uuid NOT NULL,
    campaign_id uuid NOT NULL REFERENCES campaigns,
    is_active boolean NOT NULL,
    note text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX code_changes_of_target ON code_changes (target_id, created_at);

-- Codes that nobody has, by who offered them; only a digest, because it may be a right one but for one letter.
CREATE TABLE code_misses (
    customer_id uuid NOT NULL,
    code_digest bytea NOT NULL CHECK (octet_length(code_digest) = 16),
    missed_at timestamptz NOT NULL,
    PRIMARY KEY (customer_id, code_digest)
);
CREATE INDEX code_misses_oldest ON code_misses (missed_at);

-- The one way in which rows are ever deleted: as the owner, and only what counts no more.
CREATE FUNCTION forget_code_misses(window_s double precision) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public
BEGIN ATOMIC
    WITH forgotten AS (
        DELETE FROM code_misses WHERE missed_at < clock_timestamp() - make_interval(secs => window_s) RETURNING 1
    )
    SELECT count(*) FROM forgotten;
END;
REVOKE EXECUTE ON FUNCTION forget_code_misses FROM PUBLIC;

GRANT EXECUTE ON FUNCTION forget_code_misses TO {app_role};
GRANT SELECT, INSERT ON code_batches, code_changes, code_misses TO {app_role};
GRANT UPDATE (state, code_count, made, deactivated_at, failures, failure, finished_at) ON code_batches TO {app_role};
GRANT UPDATE (missed_at) ON code_misses TO {app_role};
GRANT UPDATE (deactivated_at) ON vouchers TO {app_role};
GRANT UPDATE (codes, codes_deactivated_at) ON campaigns TO {app_role};
