"""VouchersService: decode, call, encode."""

from typing import Any, TypeVar, cast

import grpc

from quittance.vouchers.v1 import vouchers_pb2, vouchers_pb2_grpc
from services.runtime.deadlines import deadline_of
from services.runtime.group_commit import GroupCommit
from services.runtime.ids import parse_id
from services.runtime.validation import checks_shape_itself
from services.vouchers.domain.commands import AnyCommand, AnyResult, Command
from services.vouchers.domain.paging import PAGE_SIZE_DEFAULT, Place, page_of, place_of
from services.vouchers.domain.redemptions import Redemption
from services.vouchers.servicer import decode, encode
from services.vouchers.store.vouchers_store import VouchersStore

Context = grpc.aio.ServicerContext[Any, Any]
Result = TypeVar("Result")


class VouchersServicer(vouchers_pb2_grpc.VouchersServiceServicer):
    """Handlers of VouchersService; their contract is written in the proto."""

    def __init__(self, group: GroupCommit[AnyCommand, AnyResult], store: VouchersStore) -> None:
        self._group = group
        self._store = store

    async def ValidateVouchers(
        self, request: vouchers_pb2.ValidateVouchersRequest, context: Context
    ) -> vouchers_pb2.ValidateVouchersResponse:
        """A read."""
        references = [decode.reference(message) for message in request.vouchers]
        assessed = await self._store.assess(references, decode.basket(request))
        return vouchers_pb2.ValidateVouchersResponse(assessments=[encode.assessment(one) for one in assessed])

    async def QualifyCampaigns(
        self, request: vouchers_pb2.QualifyCampaignsRequest, context: Context
    ) -> vouchers_pb2.QualifyCampaignsResponse:
        """A read."""
        qualified = await self._store.qualify_campaigns(decode.basket(request))
        return vouchers_pb2.QualifyCampaignsResponse(campaigns=[encode.qualified_campaign(one) for one in qualified])

    @checks_shape_itself
    async def RedeemVouchers(
        self, request: vouchers_pb2.RedeemVouchersRequest, context: Context
    ) -> vouchers_pb2.RedeemVouchersResponse:
        """One command."""
        redemptions = await self._submit(decode.redeem_vouchers(request), context)
        return encode.redeemed(redemptions)

    async def KeepRedemptions(
        self, request: vouchers_pb2.KeepRedemptionsRequest, context: Context
    ) -> vouchers_pb2.KeepRedemptionsResponse:
        """One command."""
        redemptions = await self._submit(decode.keep_redemptions(request), context)
        return vouchers_pb2.KeepRedemptionsResponse(redemptions=encode.redemptions(redemptions))

    async def ConfirmRedemptions(
        self, request: vouchers_pb2.ConfirmRedemptionsRequest, context: Context
    ) -> vouchers_pb2.ConfirmRedemptionsResponse:
        """One command."""
        redemptions = await self._submit(decode.confirm_redemptions(request), context)
        return vouchers_pb2.ConfirmRedemptionsResponse(redemptions=encode.redemptions(redemptions))

    async def RollbackRedemptions(
        self, request: vouchers_pb2.RollbackRedemptionsRequest, context: Context
    ) -> vouchers_pb2.RollbackRedemptionsResponse:
        """One command."""
        rolled_back = await self._submit(decode.rollback_redemptions(request), context)
        return vouchers_pb2.RollbackRedemptionsResponse(rolled_back=rolled_back.uses_returned)

    async def RestoreRedemptions(
        self, request: vouchers_pb2.RestoreRedemptionsRequest, context: Context
    ) -> vouchers_pb2.RestoreRedemptionsResponse:
        """One command."""
        redemptions = await self._submit(decode.restore_redemptions(request), context)
        return vouchers_pb2.RestoreRedemptionsResponse(redemptions=encode.redemptions(redemptions))

    async def GetRedemption(
        self, request: vouchers_pb2.GetRedemptionRequest, context: Context
    ) -> vouchers_pb2.GetRedemptionResponse:
        """A read."""
        redemption = await self._store.read_redemption(parse_id(request.redemption_id, "redemption_id"))
        return vouchers_pb2.GetRedemptionResponse(redemption=encode.redemption(redemption))

    async def ListRedemptions(
        self, request: vouchers_pb2.ListRedemptionsRequest, context: Context
    ) -> vouchers_pb2.ListRedemptionsResponse:
        """A read of one redemption more than the page has, to know whether there is a next page."""
        of, owner_id = decode.redemptions_of(request)
        size, list_fields = request.page_size or PAGE_SIZE_DEFAULT, ("redemptions", of.value, owner_id)
        found = await self._store.list_redemptions(of, owner_id, place_of(request.page_token, *list_fields), size + 1)
        page, next_page_token = page_of(found, size, _place, *list_fields)
        return vouchers_pb2.ListRedemptionsResponse(
            redemptions=encode.redemptions(page), next_page_token=next_page_token
        )

    async def _submit(self, command: Command[Result], context: Context) -> Result:
        """The command's own kind of result: `decide` answers each kind of command with one."""
        result = await self._group.submit(cast("AnyCommand", command), deadline=deadline_of(context))
        return cast("Result", result)


def _place(redemption: Redemption) -> Place:
    return Place(redemption.created_at, redemption.redemption_id)
