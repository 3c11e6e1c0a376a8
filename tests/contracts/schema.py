"""Everything that migrations can make in a database, as lines of text that can be compared."""

import asyncpg

# What belongs to PostgreSQL itself has a pg_ name or is owned by the superuser; the schema public is ours.
_LINES = """
with ours as (
    select oid, nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
)
select format('schema %s acl %s', nspname, nspacl) as line from pg_namespace join ours using (oid, nspname)
union all
select format('%s %s.%s owner %s acl %s options %s', relkind, nspname, relname, relowner::regrole, relacl, reloptions)
from pg_class join ours on ours.oid = relnamespace
union all
select format('column %s.%s.%s %s not null %s default %s identity %s acl %s', nspname, relname, attname,
    format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attidentity, attacl)
from pg_attribute
join pg_class on pg_class.oid = attrelid
join ours on ours.oid = relnamespace
left join pg_attrdef on adrelid = attrelid and adnum = attnum
where attnum > 0 and not attisdropped
union all
select format('constraint %s.%s %s %s', nspname, conrelid::regclass, conname, pg_get_constraintdef(pg_constraint.oid))
from pg_constraint join ours on ours.oid = connamespace
union all
select format('index %s', pg_get_indexdef(indexrelid))
from pg_index join pg_class on pg_class.oid = indexrelid join ours on ours.oid = relnamespace
union all
select format('trigger %s enabled %s', pg_get_triggerdef(pg_trigger.oid), tgenabled)
from pg_trigger join pg_class on pg_class.oid = tgrelid join ours on ours.oid = relnamespace
where not tgisinternal
union all
select format('function %s.%s owner %s acl %s %s', nspname, proname, proowner::regrole, proacl, prosrc)
from pg_proc join ours on ours.oid = pronamespace
union all
select format('type %s.%s', nspname, typname)
from pg_type join ours on ours.oid = typnamespace where typtype in ('d', 'e', 'r')
union all
select format('value %s of %s', enumlabel, enumtypid::regtype) from pg_enum
union all
select format('view %s %s', viewname, definition) from pg_views join ours on nspname = schemaname
union all
select format('sequence %s.%s %s', schemaname, sequencename, data_type)
from pg_sequences join ours on nspname = schemaname
union all
select format('policy %s on %s', polname, polrelid::regclass) from pg_policy
union all
select format('default acl %s', defaclacl) from pg_default_acl
union all
select format('extension %s', extname) from pg_extension
order by line
"""


async def schema_of(connection: asyncpg.Connection) -> list[str]:
    """The lines, sorted. Needs a superuser's connection to see everything."""
    return [row["line"] for row in await connection.fetch(_LINES)]
