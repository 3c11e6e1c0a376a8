"""Protobuf messages as payloads of workflows: JSON, so that they can be read in Temporal's UI.

Whoever speaks to Temporal, as client or as worker, uses this one `data_converter`; with a codec, `converter_with` it.
"""

import dataclasses

from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    DefaultPayloadConverter,
    JSONProtoPayloadConverter,
    PayloadCodec,
)


class PayloadConverter(CompositePayloadConverter):
    """Temporal's own converters, but fields that a message does not know are passed over.

    A process of the release before meets fields of the next one in histories and arguments.
    """

    def __init__(self) -> None:
        super().__init__(
            *(
                JSONProtoPayloadConverter(ignore_unknown_fields=True)
                if isinstance(converter, JSONProtoPayloadConverter)
                else converter
                for converter in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )


data_converter = dataclasses.replace(DataConverter.default, payload_converter_class=PayloadConverter)


def converter_with(codec: PayloadCodec | None) -> DataConverter:
    """The data converter behind a codec, which sees every payload last: the place to encrypt or to compress.

    The texts of failures then go through the codec as well.
    """
    if codec is None:
        return data_converter
    return dataclasses.replace(
        data_converter,
        payload_codec=codec,
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
