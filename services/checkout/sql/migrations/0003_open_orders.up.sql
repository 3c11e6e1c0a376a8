-- An order is open until it is placed, or everything that it did elsewhere is undone: that may be later than its end,
-- which frees the customer's slot.
ALTER TABLE orders ADD COLUMN undone_at timestamptz;
UPDATE orders SET undone_at = ended_at WHERE ended_at IS NOT NULL;
ALTER TABLE orders ADD CONSTRAINT orders_undone
    CHECK (undone_at IS NULL OR coalesce(undone_at >= ended_at, false));

-- For the sweep that looks for orders whose workflow is gone; it holds the open ones only.
CREATE INDEX orders_open ON orders (order_id) WHERE placed_at IS NULL AND undone_at IS NULL;

GRANT UPDATE (undone_at) ON orders TO {app_role};
