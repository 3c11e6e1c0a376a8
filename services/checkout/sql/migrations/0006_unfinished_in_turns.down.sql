DROP INDEX payments_watched;
CREATE INDEX payments_watched ON payments (closed_at) WHERE state = 'pending' AND closed_at IS NOT NULL;
DROP INDEX refunds_uncompleted;
CREATE INDEX refunds_uncompleted ON refunds (created_at) WHERE completed_at IS NULL;
