-- What proves that the ledger is right: seals over finished ranges, and what verifications found.

-- Insert only, like what they seal.
CREATE TABLE seals (
    book_id smallint NOT NULL,
    from_seq bigint NOT NULL CHECK (from_seq >= 1),
    to_seq bigint NOT NULL,
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    previous_sha256 bytea NOT NULL CHECK (length(previous_sha256) = 32),
    sealed_at timestamptz NOT NULL,
    PRIMARY KEY (book_id, from_seq),
    CONSTRAINT seals_range CHECK (to_seq >= from_seq)
);
CREATE TRIGGER seals_append_only BEFORE UPDATE OR DELETE ON seals
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER seals_no_truncate BEFORE TRUNCATE ON seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE seals ENABLE ALWAYS TRIGGER seals_append_only;
ALTER TABLE seals ENABLE ALWAYS TRIGGER seals_no_truncate;

-- One row per finding, however often it is found. `digest` is over what makes it this finding: not over values that go
-- on changing while the difference between them stays.
CREATE TABLE findings (
    book_id smallint NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    digest bytea NOT NULL CHECK (length(digest) = 16),
    expected text NOT NULL,
    found text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    PRIMARY KEY (book_id, kind, subject, digest)
);
CREATE INDEX findings_newest ON findings (first_seen_at DESC, digest DESC);

-- One row per book that was verified to its end: when, up to where, with how many findings.
CREATE TABLE verifications (
    book_id smallint NOT NULL,
    verified_at timestamptz NOT NULL,
    to_seq bigint NOT NULL CHECK (to_seq >= 0),
    finding_count bigint NOT NULL CHECK (finding_count >= 0),
    PRIMARY KEY (book_id, verified_at)
);

GRANT SELECT, INSERT ON seals, findings, verifications TO {app_role};
GRANT UPDATE (last_seen_at) ON findings TO {app_role};
