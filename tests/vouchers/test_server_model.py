"""The same histories against servers and their database: the outcomes are the model's there too."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid5

import asyncpg
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from deploy.local.postgres import EmbeddedPostgres
from quittance.vouchers.v1 import campaigns_pb2, codes_pb2, vouchers_pb2
from services.runtime.database import open_pool
from services.runtime.errors import ServiceError
from services.runtime.group_commit import GroupCommit
from services.runtime.grpc_errors import refusal_of
from services.runtime.ids import new_id
from services.runtime.migrations import migrate_up, migrations_of
from services.vouchers.domain.code_guessing import NO_LIMIT
from services.vouchers.domain.commands import (
    AnyCommand,
    AnyResult,
    ConfirmRedemptions,
    ExpireRedemptions,
    KeepRedemptions,
    RedeemVouchers,
    RestoreRedemptions,
    RollbackRedemptions,
)
from services.vouchers.domain.kinds import CampaignState
from services.vouchers.domain.redemptions import RolledBack
from services.vouchers.domain.vouchers import VoucherReference
from services.vouchers.main import VouchersSettings
from services.vouchers.qualification import qualifies
from services.vouchers.servicer.campaign_messages import rules_message
from services.vouchers.store.vouchers_store import VouchersStore
from tests.vouchers.cast import Cast, long_history
from tests.vouchers.conftest import connected
from tests.vouchers.model import Model
from tests.vouchers.requests import Stub
from tests.vouchers.soundness import assert_vouchers_sound

DATABASE = "vouchers_model"
STATE_NAMES = {
    vouchers_pb2.REDEMPTION_STATE_ALREADY_IN_WALLET: "in_wallet",
    **{
        number: name.removeprefix("REDEMPTION_STATE_").lower()
        for name, number in vouchers_pb2.RedemptionState.items()
        if number != vouchers_pb2.REDEMPTION_STATE_ALREADY_IN_WALLET
    },
}
CAUSES = {
    "refund": vouchers_pb2.RESTORE_CAUSE_REFUND,
    "cancellation": vouchers_pb2.RESTORE_CAUSE_CANCELLATION,
    "decision": vouchers_pb2.RESTORE_CAUSE_DECISION,
}


class Player:
    """Plays commands on servers that do not sweep by themselves, so that expiry comes when the history says so."""

    def __init__(self, stubs: Sequence[Stub], group: GroupCommit[AnyCommand, AnyResult], dice: random.Random) -> None:
        self._stubs = stubs
        self._group = group
        self._dice = dice

    async def raise_curtain(self, cast: Cast) -> None:
        """Creates the campaigns and codes of a cast."""
        stub = self._stubs[0]
        for campaign in cast.campaigns:
            message = rules_message(campaign.campaign_id, campaign.rules)
            await stub.campaigns.CreateCampaign(campaigns_pb2.CreateCampaignRequest(campaign=message))
            if campaign.state is CampaignState.PAUSED:
                pause = campaigns_pb2.PauseCampaignRequest(campaign_id=str(campaign.campaign_id))
                await stub.campaigns.PauseCampaign(pause)
        for voucher in cast.vouchers.values():
            message = codes_pb2.Voucher(
                voucher_id=str(voucher.voucher_id),
                campaign_id=str(voucher.campaign_id),
                code=voucher.code,
                uses_max=voucher.uses_max or 0,
                customer_id=str(voucher.customer_id or ""),
            )
            await stub.codes.CreateVoucher(codes_pb2.CreateVoucherRequest(voucher=message))

    async def play(self, command: AnyCommand) -> object:
        """The outcome in the model's words."""
        if isinstance(command, ExpireRedemptions):
            (outcome,) = await self._group.submit_many([command])
            assert isinstance(outcome, RolledBack)
            return outcome.uses_returned
        stub = self._dice.choice(self._stubs)
        try:
            match command:
                case RedeemVouchers():
                    answer = await stub.RedeemVouchers(_redeem(command))
                case RollbackRedemptions():
                    request = vouchers_pb2.RollbackRedemptionsRequest(**_named(command))
                    return (await stub.RollbackRedemptions(request)).rolled_back
                case KeepRedemptions():
                    answer = await stub.KeepRedemptions(vouchers_pb2.KeepRedemptionsRequest(**_named(command)))
                case ConfirmRedemptions():
                    answer = await stub.ConfirmRedemptions(vouchers_pb2.ConfirmRedemptionsRequest(**_named(command)))
                case RestoreRedemptions():
                    request = vouchers_pb2.RestoreRedemptionsRequest(**_named(command), cause=CAUSES[command.cause])
                    answer = await stub.RestoreRedemptions(request)
        except grpc.aio.AioRpcError as error:
            return refusal_of(error).reason
        return [_shown(redemption) for redemption in answer.redemptions]


def _shown(redemption: vouchers_pb2.Redemption) -> tuple[object, ...]:
    is_credit = redemption.HasField("credit_grant")
    value = redemption.credit_grant.amount_minor if is_credit else redemption.discount_minor
    return (
        STATE_NAMES[redemption.state],
        is_credit,
        value,
        *(line.discount_minor for line in redemption.line_discounts),
    )


def _voucher(reference: VoucherReference) -> vouchers_pb2.VoucherReference:
    return vouchers_pb2.VoucherReference(code=reference.code_normal)


def _named(command: AnyCommand) -> dict[str, object]:
    references = [
        vouchers_pb2.RedemptionReference(redemption_id=str(one.redemption_id), voucher=_voucher(one.voucher))
        for one in command.redemptions
    ]
    return {"customer_id": str(command.customer_id), "redemptions": references}


def _redeem(command: RedeemVouchers) -> vouchers_pb2.RedeemVouchersRequest:
    expire_time = Timestamp()
    expire_time.FromDatetime(command.expires_at)
    facts = command.basket.facts
    return vouchers_pb2.RedeemVouchersRequest(
        order_id=str(command.order_id),
        customer_id=str(command.customer_id),
        currency=command.basket.currency,
        lines=[
            vouchers_pb2.OrderLine(**{**line._asdict(), "product_id": str(line.product_id)})
            for line in command.basket.lines
        ],
        redemptions=[
            vouchers_pb2.RedemptionRequest(redemption_id=str(one.redemption_id), voucher=_voucher(one.voucher))
            for one in command.redemptions
        ],
        expire_time=expire_time,
        facts=vouchers_pb2.CustomerFacts(**facts._asdict()) if facts else None,
    )


@pytest.fixture
async def quiet_database(postgres: EmbeddedPostgres) -> AsyncIterator[EmbeddedPostgres]:
    """A database of its own: the servers of other tests would end reservations before the history says so."""
    await asyncio.to_thread(postgres.create_database, DATABASE, "vouchers")
    await migrate_up(postgres.url(DATABASE, "vouchers_owner"), migrations_of("vouchers"), "vouchers_app")
    yield postgres
    await asyncio.to_thread(postgres.drop_database, DATABASE)


@pytest.fixture
async def player(
    quiet_database: EmbeddedPostgres, vouchers_settings: VouchersSettings, dice: random.Random
) -> AsyncIterator[Player]:
    url = quiet_database.url(DATABASE, "vouchers_app")
    still = vouchers_settings.model_copy(update={"sweep_interval_s": 0, "database_url": url})
    async with connected(still) as one, connected(still) as two, committing(still) as group:
        yield Player([one, two], group, dice)


@asynccontextmanager
async def committing(settings: VouchersSettings) -> AsyncIterator[GroupCommit[AnyCommand, AnyResult]]:
    """What the sweep hands its commands to."""
    async with (
        open_pool(settings, "player") as pool,
        GroupCommit[AnyCommand, AnyResult](
            pool,
            VouchersStore(pool, qualifies, NO_LIMIT),
            name="player",
            group_max=100,
            inflight_max=1,
            acquire_timeout_s=settings.acquire_timeout_s,
        ) as group,
    ):
        yield group


async def test_servers_answer_every_command_as_the_model_does(
    quiet_database: EmbeddedPostgres, player: Player, dice: random.Random
) -> None:
    """V1-V7, V-1, V-4: two servers, one database, all effects and limits, in turn."""
    connection = await asyncpg.connect(quiet_database.url(DATABASE, "vouchers_owner"))
    for _ in range(8):
        base, root = datetime.now(UTC), new_id()
        cast = Cast(base, lambda number, root=root: uuid5(root, str(number)))
        model = Model(cast.campaigns, cast.vouchers)
        await player.raise_curtain(cast)
        for said in long_history(dice, 60):
            command = cast.command(said)
            answer = await player.play(command)
            assert not isinstance(answer, ServiceError)
            assert answer == as_answered(model.apply(command, datetime.now(UTC))), command
        await assert_rows_are_the_models(connection, model)
    await assert_vouchers_sound(connection)
    await connection.close()


def as_answered(outcome: object) -> object:
    """What never came was rolled back, for all that a caller is told."""
    if not isinstance(outcome, list):
        return outcome
    return [("rolled_back" if state == "tombstone" else state, *values) for state, *values in outcome]


async def assert_rows_are_the_models(connection: asyncpg.Connection, model: Model) -> None:
    """What the database holds in the end, row by row."""
    ids: list[UUID] = list(model.entries)
    rows = await connection.fetch(
        "SELECT redemption_id, state FROM redemptions WHERE redemption_id = ANY ($1::uuid[])", ids
    )
    assert {row["redemption_id"]: row["state"] for row in rows} == {
        redemption_id: entry.state for redemption_id, entry in model.entries.items()
    }
