-- Takes expiries with it; the holds stay, until somebody ends them. All of it is sealed anew.
DROP INDEX grants_wallet;
CREATE INDEX grants_wallet ON grants (book_id, owner_id, currency, empty_since);
DROP INDEX grants_to_expire;
DROP INDEX holds_to_expire;
CREATE INDEX grants_to_expire ON grants (book_id, expires_at)
    WHERE state = 'live' AND empty_since IS NULL AND expires_at IS NOT NULL;
CREATE INDEX holds_to_expire ON holds (book_id, expires_at) WHERE state = 'held';
DROP TABLE transfer_expiries;
ALTER TABLE seals DISABLE TRIGGER seals_no_truncate;
TRUNCATE seals;
ALTER TABLE seals ENABLE ALWAYS TRIGGER seals_no_truncate;
