-- The secret that fingerprints of requests are made with. A request holds voucher codes, which may be short, and its
-- fingerprint stands in workflow histories, where codes could be tried against it. Made once, here, so that all
-- replicas have the same; 244 of its bits are random.
CREATE TABLE fingerprint_keys (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);
INSERT INTO fingerprint_keys (key)
SELECT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');

GRANT SELECT ON fingerprint_keys TO {app_role};
