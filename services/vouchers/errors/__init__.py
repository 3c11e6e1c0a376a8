"""Every refusal of the vouchers; reasons and metadata as in protos/quittance/vouchers/v1/errors.proto.

A field `voucher` holds a masked code or a voucher's id, never a code: a code is as good as money.
"""

# Who refuses: the ErrorInfo domain of this service.
DOMAIN = "vouchers.quittance"
