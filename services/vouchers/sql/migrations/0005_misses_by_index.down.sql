CREATE OR REPLACE FUNCTION forget_code_misses(window_s double precision) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public
BEGIN ATOMIC
    WITH forgotten AS (
        DELETE FROM code_misses WHERE missed_at < clock_timestamp() - make_interval(secs => window_s) RETURNING 1
    )
    SELECT count(*) FROM forgotten;
END;
