DROP INDEX orders_open;
ALTER TABLE orders DROP COLUMN undone_at;
