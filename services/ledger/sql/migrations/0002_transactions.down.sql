-- Takes reasons, metadata and closings with it; the transfers stay.
DROP TABLE transaction_metadata;
ALTER TABLE commands DROP COLUMN metadata, DROP COLUMN reason;
ALTER TABLE transfers DROP COLUMN target_seq;
ALTER TABLE books DROP COLUMN stamp;
ALTER TABLE accounts DROP COLUMN closed_at;
