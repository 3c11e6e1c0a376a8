"""Requests as the tests make them: everything valid and filled in, each test names what it is about."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from quittance.money.v1 import money_pb2
from quittance.vouchers.v1 import campaign_pb2, campaigns_pb2, codes_pb2, vouchers_pb2
from quittance.vouchers.v1.campaigns_pb2_grpc import CampaignsServiceStub
from quittance.vouchers.v1.codes_pb2_grpc import CodesServiceStub
from quittance.vouchers.v1.vouchers_pb2_grpc import VouchersServiceStub
from services.runtime.grpc_errors import Refusal, refusal_of
from services.runtime.ids import new_id

RESERVED = vouchers_pb2.REDEMPTION_STATE_RESERVED
KEPT = vouchers_pb2.REDEMPTION_STATE_KEPT
CONFIRMED = vouchers_pb2.REDEMPTION_STATE_CONFIRMED
ROLLED_BACK = vouchers_pb2.REDEMPTION_STATE_ROLLED_BACK
DRAFT = campaign_pb2.CAMPAIGN_STATE_DRAFT
ACTIVE = campaign_pb2.CAMPAIGN_STATE_ACTIVE
PAUSED = campaign_pb2.CAMPAIGN_STATE_PAUSED
ENDED = campaign_pb2.CAMPAIGN_STATE_ENDED
ALREADY_IN_WALLET = vouchers_pb2.REDEMPTION_STATE_ALREADY_IN_WALLET


EFFECTS = {"credit_grant", "amount_off", "percent_off", "free_item", "cheapest_free", "buy_get"}


class Stub(VouchersServiceStub):
    """Clients of one server: of redemptions, and beside them of campaigns and codes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self.campaigns = CampaignsServiceStub(channel)
        self.codes = CodesServiceStub(channel)


def some_id() -> str:
    return str(new_id())


def in_days(days: float) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(datetime.now(UTC) + timedelta(days=days))
    return timestamp


def money(amount_minor: int, currency: str = "OMR") -> money_pb2.Money:
    return money_pb2.Money(amount_minor=amount_minor, currency=currency)


def credit_grant(amount_minor: int = 10_000, **fields: object) -> campaign_pb2.CreditGrantEffect:
    return campaign_pb2.CreditGrantEffect(**{"amount": money(amount_minor), "priority": 10, "valid_days": 90, **fields})


def amount_off(amount_minor: int = 10_000, currency: str = "OMR") -> campaign_pb2.AmountOffEffect:
    return campaign_pb2.AmountOffEffect(amount=money(amount_minor, currency))


def campaign(**fields: object) -> campaign_pb2.Campaign:
    """A campaign of 10 OMR credit, unless an effect is given."""
    effect = {} if EFFECTS & fields.keys() else {"credit_grant": credit_grant()}
    return campaign_pb2.Campaign(**{"campaign_id": some_id(), "name": "Walk", **effect, **fields})


def lines(*amounts_minor: int) -> list[vouchers_pb2.OrderLine]:
    return [
        vouchers_pb2.OrderLine(line_number=number, product_id=some_id(), quantity=1, amount_minor=amount_minor)
        for number, amount_minor in enumerate(amounts_minor, start=1)
    ]


def by_code(code: str) -> vouchers_pb2.VoucherReference:
    return vouchers_pb2.VoucherReference(code=code)


def by_id(voucher_id: str) -> vouchers_pb2.VoucherReference:
    return vouchers_pb2.VoucherReference(voucher_id=voucher_id)


@dataclass
class Order:
    """One order of one customer with the vouchers that are offered for it."""

    codes: Sequence[str]
    customer_id: str = field(default_factory=some_id)
    order_id: str = field(default_factory=some_id)
    currency: str = "OMR"
    lines: Sequence[vouchers_pb2.OrderLine] = field(default_factory=lambda: lines(30_000, 20_000))
    redemption_ids: list[str] = field(default_factory=list)
    expire_time: Timestamp = field(default_factory=lambda: in_days(30))
    facts: vouchers_pb2.CustomerFacts | None = None

    def __post_init__(self) -> None:
        self.redemption_ids = self.redemption_ids or [some_id() for _ in self.codes]

    @property
    def references(self) -> list[vouchers_pb2.RedemptionReference]:
        return [
            vouchers_pb2.RedemptionReference(redemption_id=redemption_id, voucher=by_code(code))
            for redemption_id, code in zip(self.redemption_ids, self.codes, strict=True)
        ]

    def redeem(self) -> vouchers_pb2.RedeemVouchersRequest:
        return vouchers_pb2.RedeemVouchersRequest(
            order_id=self.order_id,
            customer_id=self.customer_id,
            currency=self.currency,
            lines=self.lines,
            redemptions=[
                vouchers_pb2.RedemptionRequest(redemption_id=reference.redemption_id, voucher=reference.voucher)
                for reference in self.references
            ],
            expire_time=self.expire_time,
            facts=self.facts,
        )

    def validate(self) -> vouchers_pb2.ValidateVouchersRequest:
        return vouchers_pb2.ValidateVouchersRequest(
            customer_id=self.customer_id,
            currency=self.currency,
            lines=self.lines,
            vouchers=[by_code(code) for code in self.codes],
            facts=self.facts,
        )

    def qualify(self) -> vouchers_pb2.QualifyCampaignsRequest:
        return vouchers_pb2.QualifyCampaignsRequest(
            customer_id=self.customer_id, currency=self.currency, lines=self.lines, facts=self.facts
        )

    def keep(self) -> vouchers_pb2.KeepRedemptionsRequest:
        return vouchers_pb2.KeepRedemptionsRequest(customer_id=self.customer_id, redemptions=self.references)

    def confirm(self) -> vouchers_pb2.ConfirmRedemptionsRequest:
        return vouchers_pb2.ConfirmRedemptionsRequest(customer_id=self.customer_id, redemptions=self.references)

    def roll_back(self) -> vouchers_pb2.RollbackRedemptionsRequest:
        return vouchers_pb2.RollbackRedemptionsRequest(customer_id=self.customer_id, redemptions=self.references)

    def restore(self, cause: int = vouchers_pb2.RESTORE_CAUSE_REFUND) -> vouchers_pb2.RestoreRedemptionsRequest:
        return vouchers_pb2.RestoreRedemptionsRequest(
            customer_id=self.customer_id, redemptions=self.references, cause=cause
        )


class Shop:
    """What tests say in one line each."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub

    async def campaign(self, **fields: object) -> str:
        """Creates a campaign; its id."""
        request = campaigns_pb2.CreateCampaignRequest(campaign=campaign(**fields))
        response = await self.stub.campaigns.CreateCampaign(request)
        return response.campaign.campaign_id

    async def code(self, campaign_id: str = "", *, uses_max: int = 0, **fields: object) -> str:
        """Creates a code, of a new campaign with these fields unless one is given."""
        campaign_id = campaign_id or await self.campaign(**fields)
        code = f"WALK-{new_id().hex[-12:]}"
        voucher = codes_pb2.Voucher(voucher_id=some_id(), campaign_id=campaign_id, code=code, uses_max=uses_max)
        await self.stub.codes.CreateVoucher(codes_pb2.CreateVoucherRequest(voucher=voucher))
        return code

    async def redeem(self, order: Order) -> vouchers_pb2.RedeemVouchersResponse:
        return await self.stub.RedeemVouchers(order.redeem())

    async def keep(self, order: Order) -> list[int]:
        """The states after it."""
        response = await self.stub.KeepRedemptions(order.keep())
        return [redemption.state for redemption in response.redemptions]

    async def confirm(self, order: Order) -> list[int]:
        """The states after it."""
        response = await self.stub.ConfirmRedemptions(order.confirm())
        return [redemption.state for redemption in response.redemptions]

    async def roll_back(self, order: Order) -> int:
        """How many uses came back."""
        return (await self.stub.RollbackRedemptions(order.roll_back())).rolled_back

    async def restore(self, order: Order, cause: int = vouchers_pb2.RESTORE_CAUSE_REFUND) -> list[int]:
        """The states after it."""
        response = await self.stub.RestoreRedemptions(order.restore(cause))
        return [redemption.state for redemption in response.redemptions]

    async def validate(self, order: Order) -> list[vouchers_pb2.VoucherAssessment]:
        return list((await self.stub.ValidateVouchers(order.validate())).assessments)

    async def get(self, code: str) -> codes_pb2.GetVoucherResponse:
        return await self.stub.codes.GetVoucher(codes_pb2.GetVoucherRequest(voucher=by_code(code)))

    async def uses(self, code: str) -> tuple[int, int]:
        """Uses of the voucher and of its campaign."""
        view = await self.get(code)
        return view.voucher.uses, view.campaign.uses

    async def states(self, code: str) -> list[int]:
        """The states of the code's redemptions, newest first."""
        return [redemption.state for redemption in (await self.get(code)).redemptions]


class Caught:
    """What a block was refused with."""

    def __init__(self) -> None:
        self.refusal: Refusal | None = None

    @property
    def metadata(self) -> dict[str, str]:
        assert self.refusal is not None
        return dict(self.refusal.metadata)


@asynccontextmanager
async def refused(reason: str, status: grpc.StatusCode | None = None, **metadata: object) -> AsyncIterator[Caught]:
    """Expects the block to be refused with this reason, and these values among its metadata."""
    caught = Caught()
    with pytest.raises(grpc.aio.AioRpcError) as error:
        yield caught
    refusal = caught.refusal = refusal_of(error.value)
    expected = {name: str(value) for name, value in metadata.items()}
    found = {name: refusal.metadata.get(name) for name in expected}
    assert (refusal.reason, found) == (reason, expected), refusal
    assert refusal.domain == "vouchers.quittance"
    assert status in (None, refusal.status)
