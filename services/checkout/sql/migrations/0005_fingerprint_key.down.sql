DROP TABLE fingerprint_keys;
