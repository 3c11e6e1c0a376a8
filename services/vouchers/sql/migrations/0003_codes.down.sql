-- Refused while there are generated codes: the tables of before have no place for them.
DROP FUNCTION forget_code_misses;
DROP TABLE code_misses;
DROP TABLE code_changes;

REVOKE UPDATE (codes) ON campaigns FROM {app_role};
ALTER TABLE campaigns DROP COLUMN codes_deactivated_at;
DROP INDEX vouchers_shared;
ALTER TABLE vouchers
    DROP CONSTRAINT vouchers_code,
    DROP COLUMN batch_id,
    DROP COLUMN deactivated_at,
    DROP COLUMN expires_at,
    ALTER COLUMN code SET NOT NULL,
    ALTER COLUMN code_normal TYPE text COLLATE "default",
    ADD CONSTRAINT vouchers_code_normal CHECK (
        code_normal = upper(regexp_replace(code COLLATE "C", '[^A-Za-z0-9]', '', 'g'))
    ) NOT VALID,
    ADD CONSTRAINT vouchers_campaign_key UNIQUE (campaign_id, voucher_id),
    ADD CONSTRAINT vouchers_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns;
CREATE INDEX vouchers_shared ON vouchers (campaign_id, created_at)
    WHERE customer_id IS NULL AND uses_max IS DISTINCT FROM 1;
ALTER TABLE redemptions
    DROP CONSTRAINT redemptions_voucher,
    ADD CONSTRAINT redemptions_voucher FOREIGN KEY (campaign_id, voucher_id)
        REFERENCES vouchers (campaign_id, voucher_id);
DROP TABLE code_batches;
