"""VouchersService: decode, call, encode."""

from typing import Any, TypeVar, cast

import grpc

from quittance.vouchers.v1 import vouchers_pb2, vouchers_pb2_grpc
from services.runtime.deadlines import deadline_of
from services.runtime.group_commit import GroupCommit
from services.vouchers.domain.commands import AnyCommand, AnyResult, Command
from services.vouchers.servicer import decode, encode
from services.vouchers.store.vouchers_store import VouchersStore

Context = grpc.aio.ServicerContext[Any, Any]
Result = TypeVar("Result")


class VouchersServicer(vouchers_pb2_grpc.VouchersServiceServicer):
    """Handlers of VouchersService; their contract is written in the proto."""

    def __init__(self, group: GroupCommit[AnyCommand, AnyResult], store: VouchersStore) -> None:
        self._group = group
        self._store = store

    async def CreateCampaign(
        self, request: vouchers_pb2.CreateCampaignRequest, context: Context
    ) -> vouchers_pb2.CreateCampaignResponse:
        """A transaction of its own."""
        campaign = await self._store.create_campaign(decode.campaign(request.campaign))
        return vouchers_pb2.CreateCampaignResponse(campaign=encode.campaign(campaign))

    async def CreateVoucher(
        self, request: vouchers_pb2.CreateVoucherRequest, context: Context
    ) -> vouchers_pb2.CreateVoucherResponse:
        """A transaction of its own."""
        voucher = await self._store.create_voucher(decode.voucher(request.voucher))
        return vouchers_pb2.CreateVoucherResponse(voucher=encode.voucher(voucher))

    async def GetVoucher(
        self, request: vouchers_pb2.GetVoucherRequest, context: Context
    ) -> vouchers_pb2.GetVoucherResponse:
        """A read."""
        view = await self._store.read_voucher(decode.reference(request.voucher))
        return encode.voucher_view(view)

    async def ValidateVouchers(
        self, request: vouchers_pb2.ValidateVouchersRequest, context: Context
    ) -> vouchers_pb2.ValidateVouchersResponse:
        """A read."""
        references = [decode.reference(message) for message in request.vouchers]
        assessed = await self._store.assess(references, decode.basket(request))
        return vouchers_pb2.ValidateVouchersResponse(assessments=[encode.assessment(one) for one in assessed])

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

    async def _submit(self, command: Command[Result], context: Context) -> Result:
        """The command's own kind of result: `decide` answers each kind of command with one."""
        result = await self._group.submit(cast("AnyCommand", command), deadline=deadline_of(context))
        return cast("Result", result)
