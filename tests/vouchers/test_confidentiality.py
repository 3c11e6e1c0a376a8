"""A code is as good as money: where it may not be seen."""

from dataclasses import fields

import pytest

from services.runtime.errors import ServiceError
from services.runtime.ids import new_id
from services.vouchers.domain.vouchers import NewVoucher, VoucherReference, normalise_code
from tests.contracts.test_reasons import errors_of
from tests.vouchers.requests import Order, Shop, in_days, refused


async def test_codes_stand_in_no_log_line_and_no_refusal(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """C-3."""
    code = await shop.code(end_time=in_days(-1))
    unknown = f"SECRET-{new_id().hex[-10:]}"
    async with refused("CAMPAIGN_ENDED") as ended:
        await shop.redeem(Order([code]))
    async with refused("VOUCHER_NOT_FOUND") as absent:
        await shop.redeem(Order([unknown]))
    await shop.validate(Order([code, unknown]))
    await shop.roll_back(Order([code]))
    seen = capsys.readouterr()
    said = f"{seen.out}{seen.err}{ended.refusal}{absent.refusal}"
    assert "RedeemVouchers" in said
    for secret in (code, unknown):
        assert secret not in said
        assert normalise_code(secret) not in said


def test_codes_stand_in_no_representation() -> None:
    voucher = NewVoucher(voucher_id=new_id(), campaign_id=new_id(), code="WALK-T38-2138", uses_max=None)
    shown = repr(voucher) + repr(VoucherReference(voucher.code_normal, None))
    assert "T38" not in shown


@pytest.mark.parametrize("error", errors_of("vouchers"))
def test_error_has_no_field_for_a_code(error: type[ServiceError]) -> None:
    """Every field of an error stands in its text and its metadata."""
    assert [field.name for field in fields(error) if "code" in field.name] == []
