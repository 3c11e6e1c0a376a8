"""V-1, V-4, V-5: whatever is done to the rows by somebody who may do everything is found and named."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from deploy.local.postgres import EmbeddedPostgres
from services.runtime.migrations import migrate_up, migrations_of
from tests.vouchers.proving import Report, served, tell_story, until_swept, verify

TEMPLATE = "vouchers_untouched"
TAMPERED = "vouchers_tampered"
# What the schema would refuse even to a superuser.
UNCHECK = """
DO $$ DECLARE c record; BEGIN
    FOR c IN SELECT conrelid::regclass AS of_table, conname FROM pg_constraint
        WHERE contype = 'c' AND connamespace = 'public'::regnamespace
    LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.of_table, c.conname); END LOOP;
END $$
"""


@pytest.fixture(scope="module")
async def untouched(postgres: EmbeddedPostgres) -> AsyncIterator[dict[str, str]]:
    """Vouchers to be copied; the ids of their campaigns by name."""
    await asyncio.to_thread(postgres.create_database, TEMPLATE, "vouchers")
    await migrate_up(postgres.url(TEMPLATE, "vouchers_owner"), migrations_of("vouchers"), "vouchers_app")
    url = postgres.url(TEMPLATE, "vouchers_app")
    async with served(url) as server:
        ids = await tell_story(server.shop)
        await until_swept(url, server.shop, ids["Off"])
        report = await verify(server.proof)
    assert report.findings == []
    assert len(report.campaigns) == len(ids) + 2
    yield ids
    await asyncio.to_thread(postgres.drop_database, TEMPLATE)


@dataclass
class Tampering:
    """A copy of the vouchers, and an administrator in it whom nothing checks."""

    administrator: asyncpg.Connection
    app_url: str
    campaign_ids: dict[str, str]

    async def does(self, statement: str) -> None:
        await self.administrator.execute(statement)

    async def is_found(self, *campaign_ids: str) -> Report:
        async with served(self.app_url) as server:
            return await verify(server.proof, campaign_ids)


@pytest.fixture
async def tampering(postgres: EmbeddedPostgres, untouched: dict[str, str]) -> AsyncIterator[Tampering]:
    copy = f"CREATE DATABASE {TAMPERED} TEMPLATE {TEMPLATE} OWNER vouchers_owner"
    await asyncio.to_thread(postgres.run_sql, "postgres", f"{copy};")
    administrator = await asyncpg.connect(postgres.superuser_url(TAMPERED))
    await administrator.execute(UNCHECK)
    await administrator.execute("SET session_replication_role = replica")
    yield Tampering(administrator, postgres.url(TAMPERED, "vouchers_app"), untouched)
    await administrator.close()
    await asyncio.to_thread(postgres.drop_database, TAMPERED)


OF = "campaign_id = (SELECT campaign_id FROM campaigns WHERE name = '{}')"
OFF, CREDITS, PERCENT = (OF.format(name) for name in ("Off", "Credits", "Percent"))
# One of two confirmed ones: both are of the same customer.
CONFIRMED = (
    f"redemption_id = (SELECT max(redemption_id::text)::uuid FROM redemptions WHERE {OFF} AND state = 'confirmed')"
)

COUNTER, SPENT, USES = "CAMPAIGN_COUNTER_DIFFERS", "CAMPAIGN_SPENT_DIFFERS", "VOUCHER_USES_DIFFER"
CODES, LIMIT, CUSTOMER = "CODES_DIFFER", "LIMIT_EXCEEDED", "CUSTOMER_LIMIT_EXCEEDED"
DISCOUNT, EFFECT, STATE, MOMENTS = "DISCOUNT_DIFFERS", "EFFECT_DIFFERS", "STATE_DIFFERS", "MOMENTS_DIFFER"
OVERDUE, WALLET, TOMBSTONE = "RESERVATION_OVERDUE", "WALLET_ANSWER_UNFOUNDED", "TOMBSTONE_DIFFERS"
STACK, CAMPAIGN, GAP, REVISION = "STACK_DIFFERS", "CAMPAIGN_DIFFERS", "REVISION_GAP", "REVISION_DIFFERS"

# What is done, and the kinds of findings that name it: these and no others.
DEEDS = {
    "a counter is changed": (f"UPDATE campaigns SET rolled_back = rolled_back + 1 WHERE {OFF}", {COUNTER}),
    "a use is made up": (f"UPDATE campaigns SET reserved = reserved + 1, uses = uses + 1 WHERE {OFF}", {COUNTER}),
    "the spent sum is changed": (f"UPDATE campaigns SET spent_minor = 0 WHERE {OFF}", {SPENT}),
    "the number of codes is changed": (f"UPDATE campaigns SET codes = codes + 1 WHERE {OFF}", {CODES}),
    "a code is deleted that nobody used": (
        (
            f"INSERT INTO vouchers SELECT (jsonb_populate_record(v, jsonb_build_object('voucher_id', gen_random_uuid(),"
            f" 'code', 'SPARE-ONE', 'code_normal', 'SPAREONE', 'uses', 0))).* FROM vouchers AS v WHERE {OFF}"
        ),
        {CODES},
    ),
    "a code's uses are changed": (f"UPDATE vouchers SET uses = uses - 1 WHERE {OFF}", {USES}),
    "a redemption is deleted": (f"DELETE FROM redemptions WHERE {CONFIRMED}", {COUNTER, SPENT, USES}),
    "a redemption is doubled": (
        (
            f"INSERT INTO redemptions SELECT (jsonb_populate_record(r, jsonb_build_object('redemption_id',"
            f" gen_random_uuid(), 'redemptions_digest', '\\x00'))).* FROM redemptions AS r WHERE {CONFIRMED}"
        ),
        {COUNTER, SPENT, USES},
    ),
    "a redemption is given back by hand": (
        (
            f"UPDATE redemptions SET state = 'rolled_back', rolled_back_at = confirmed_at, confirmed_at = NULL"
            f" WHERE {CONFIRMED}"
        ),
        {COUNTER, SPENT, USES},
    ),
    "a state is changed": (f"UPDATE redemptions SET state = 'reserved' WHERE {CONFIRMED}", {COUNTER, STATE}),
    "all redemptions are deleted": ("TRUNCATE redemptions", {COUNTER, SPENT, USES}),
    "the campaign's limit is lowered": (f"UPDATE campaigns SET uses_max = 1 WHERE {OFF}", {LIMIT, REVISION}),
    "the budget is lowered": (f"UPDATE campaigns SET budget_minor = 999 WHERE {OFF}", {LIMIT, REVISION}),
    "a code's limit is lowered": (f"UPDATE vouchers SET uses_max = 1 WHERE {OFF}", {LIMIT}),
    "the customers' limit is lowered": (
        f"UPDATE campaigns SET uses_per_customer_max = 1 WHERE {OFF}",
        {CUSTOMER, REVISION},
    ),
    "the limit of a period is lowered": (
        f"UPDATE campaigns SET uses_per_period_max = 1 WHERE {OFF}",
        {CUSTOMER, REVISION},
    ),
    "a discount is changed": (
        f"UPDATE redemptions SET discount_minor = discount_minor + 1 WHERE {CONFIRMED}",
        {DISCOUNT, SPENT},
    ),
    "a unit moves to another line": (
        (
            "UPDATE redemptions SET lines = jsonb_set("
            "jsonb_set(lines, '{0,2}', to_jsonb((lines #>> '{0,2}')::int + 1)),"
            f" '{{1,2}}', to_jsonb((lines #>> '{{1,2}}')::int - 1)) WHERE {PERCENT}"
        ),
        {DISCOUNT},
    ),
    "what a discount was computed from is changed": (
        f"UPDATE redemptions SET lines = jsonb_set(lines, '{{0,1}}', '40004') WHERE {PERCENT}",
        {DISCOUNT},
    ),
    "what a discount was computed with is changed": (
        (
            f"UPDATE redemptions SET effect_parameters = jsonb_set(effect_parameters, '{{basis_points}}', '1300')"
            f" WHERE {PERCENT}"
        ),
        {DISCOUNT, EFFECT},
    ),
    "a credit is raised": (
        f"UPDATE redemptions SET credit_minor = credit_minor + 1 WHERE {CREDITS} AND state = 'kept'",
        {EFFECT, SPENT},
    ),
    "a redemption names another revision": (
        f"UPDATE redemptions SET campaign_revision = 2 WHERE {CONFIRMED}",
        {EFFECT},
    ),
    "a redemption was confirmed before it was made": (
        f"UPDATE redemptions SET confirmed_at = created_at - interval '1 second' WHERE {CONFIRMED}",
        {MOMENTS},
    ),
    "a redemption was confirmed in the future": (
        f"UPDATE redemptions SET confirmed_at = confirmed_at + interval '1 day' WHERE {CONFIRMED}",
        {MOMENTS},
    ),
    "a reservation is forgotten": (
        (
            f"UPDATE redemptions SET expires_at = clock_timestamp() - interval '2 hours'"
            f" WHERE {OFF} AND state = 'reserved'"
        ),
        {OVERDUE},
    ),
    "an answer from the wallet goes to another customer": (
        f"UPDATE redemptions SET customer_id = gen_random_uuid() WHERE {CREDITS} AND state = 'in_wallet'",
        {WALLET},
    ),
    "a tombstone gets an order": (
        f"UPDATE redemptions SET order_id = gen_random_uuid() WHERE {OFF} AND state = 'tombstone'",
        {TOMBSTONE},
    ),
    "a redemption loses its order": (f"UPDATE redemptions SET order_id = NULL WHERE {CONFIRMED}", {TOMBSTONE}),
    "a part of a stack goes to another order": (
        f"UPDATE redemptions SET order_id = gen_random_uuid() WHERE {PERCENT}",
        {STACK},
    ),
    "a redemption goes to another campaign": (
        (
            f"UPDATE redemptions SET campaign_id = (SELECT campaign_id FROM campaigns WHERE name = 'Percent')"
            f" WHERE {OFF} AND state = 'tombstone'"
        ),
        {CAMPAIGN},
    ),
    "a code goes to another campaign": (
        f"UPDATE vouchers SET campaign_id = (SELECT campaign_id FROM campaigns WHERE name = 'Percent') WHERE {CREDITS}",
        {CAMPAIGN, CODES, USES},
    ),
    "a campaign is deleted": (f"DELETE FROM campaigns WHERE {CREDITS}", {CAMPAIGN}),
    "a campaign is renamed": (f"UPDATE campaigns SET name = 'Mine' WHERE {OFF}", {REVISION}),
    "a campaign is started by hand": (f"UPDATE campaigns SET state = 'active' WHERE {PERCENT}", {REVISION}),
    "an effect is changed": (
        f"UPDATE campaigns SET effect_parameters = jsonb_set(effect_parameters, '{{amount_minor}}', '9') WHERE {OFF}",
        {REVISION},
    ),
    "history is changed": (
        (
            f"UPDATE campaign_revisions SET content = jsonb_set(content, '{{name}}', '\"Mine\"')"
            f" WHERE revision = 2 AND {OFF}"
        ),
        {REVISION},
    ),
    "history is cut off": (f"DELETE FROM campaign_revisions WHERE revision = 2 AND {OFF}", {GAP, EFFECT}),
    "history begins later": (f"DELETE FROM campaign_revisions WHERE revision = 1 AND {CREDITS}", {GAP, EFFECT}),
    "history runs backwards": (
        f"UPDATE campaign_revisions SET changed_at = changed_at - interval '1 day' WHERE revision = 2 AND {OFF}",
        {GAP},
    ),
}


@pytest.mark.parametrize(("statement", "kinds"), DEEDS.values(), ids=DEEDS.keys())
async def test_verification_of_tampered_vouchers_names_what_was_done(
    tampering: Tampering, statement: str, kinds: set[str]
) -> None:
    await tampering.does(statement)
    report = await tampering.is_found()
    assert report.kinds == kinds, report.findings


def test_every_kind_of_finding_is_provoked() -> None:
    assert set().union(*(kinds for _, kinds in DEEDS.values())) == {
        *(COUNTER, SPENT, USES, CODES, LIMIT, CUSTOMER, DISCOUNT, EFFECT, STATE, MOMENTS, OVERDUE, WALLET),
        *(TOMBSTONE, STACK, CAMPAIGN, GAP, REVISION),
    }


async def test_finding_names_campaign_subject_and_values(tampering: Tampering) -> None:
    await tampering.does(f"UPDATE campaigns SET rolled_back = rolled_back + 2 WHERE {OFF}")
    (finding,) = (await tampering.is_found()).findings
    assert finding.campaign_id == tampering.campaign_ids["Off"]
    assert (finding.subject, int(finding.found) - int(finding.expected)) == ("campaign, rolled_back", 2)


async def test_verification_of_one_campaign_finds_what_is_in_it_only(tampering: Tampering) -> None:
    await tampering.does("UPDATE campaigns SET spent_minor = spent_minor + 1")
    report = await tampering.is_found(tampering.campaign_ids["Credits"])
    assert [finding.campaign_id for finding in report.findings] == [tampering.campaign_ids["Credits"]]
    assert list(report.campaigns) == [tampering.campaign_ids["Credits"]]
    assert len((await tampering.is_found()).findings) == 4


async def test_more_findings_of_a_kind_than_are_kept_are_counted(tampering: Tampering) -> None:
    """A table rewritten as a whole is not a million messages."""
    await tampering.does(
        f"INSERT INTO redemptions SELECT (jsonb_populate_record(r, jsonb_build_object('redemption_id',"
        f" gen_random_uuid(), 'order_id', gen_random_uuid()))).* FROM redemptions AS r, generate_series(1, 1500)"
        f" WHERE {OFF} AND state = 'tombstone'"
    )
    report = await tampering.is_found()
    verified = report.campaigns[tampering.campaign_ids["Off"]]
    assert (len(report.findings), verified.findings, verified.findings_left_out) == (1000, 1500, 500)
