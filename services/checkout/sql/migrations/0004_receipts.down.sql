DELETE FROM webhook_events WHERE kind IN ('refund', 'dispute');
ALTER TABLE webhook_events DROP COLUMN told_at;
ALTER TABLE webhook_events DROP CONSTRAINT webhook_events_kind_check;
ALTER TABLE webhook_events ADD CONSTRAINT webhook_events_kind_check CHECK (
    kind IN ('attempt_failed', 'failed', 'paid', 'expired', 'ignored')
);
UPDATE payments SET closed_at = NULL WHERE state = 'pending';
ALTER TABLE payments DROP CONSTRAINT payments_closed;
ALTER TABLE payments ADD CONSTRAINT payments_closed CHECK (
    closed_at IS NULL OR (closing_at IS NOT NULL AND (state IN ('failed', 'expired') OR is_late))
);
DROP INDEX payments_watched;
DROP TABLE payment_findings, disputes, refunds, receipts;
