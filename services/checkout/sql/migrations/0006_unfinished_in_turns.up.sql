-- What is unfinished is looked at in turns, in the order of its ids: the indexes hold it in that order.
DROP INDEX refunds_uncompleted;
CREATE INDEX refunds_uncompleted ON refunds (refund_id) WHERE completed_at IS NULL;
DROP INDEX payments_watched;
CREATE INDEX payments_watched ON payments (order_id) WHERE state = 'pending' AND closed_at IS NOT NULL;
