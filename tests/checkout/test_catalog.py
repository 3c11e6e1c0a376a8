"""Products and prices."""

import asyncio

from quittance.checkout.v1 import checkout_pb2
from tests.checkout.shop import CURRENCY, Shop, fresh_id, refused


def product(**fields: str) -> checkout_pb2.CreateProductRequest:
    return checkout_pb2.CreateProductRequest(
        product=checkout_pb2.Product(product_id=fresh_id(), name="A walk"), **fields
    )


def price(product_id: str, amount_minor: int = 100) -> checkout_pb2.CreatePriceRequest:
    values = checkout_pb2.Price(
        price_id=fresh_id(), product_id=product_id, currency=CURRENCY, unit_amount_minor=amount_minor
    )
    return checkout_pb2.CreatePriceRequest(price=values)


async def test_create_product_twice_is_once(shop: Shop) -> None:
    request = product()
    assert await shop.orders.CreateProduct(request) == await shop.orders.CreateProduct(request)


async def test_create_product_with_a_taken_id_is_refused(shop: Shop) -> None:
    request = product()
    await shop.orders.CreateProduct(request)
    request.product.name = "A run"
    async with refused("PRODUCT_EXISTS_WITH_DIFFERENT_FIELD") as answer:
        await shop.orders.CreateProduct(request)
    assert answer.metadata["field"] == "name"


async def test_create_price_at_once_by_many_is_once(shop: Shop) -> None:
    created = product()
    await shop.orders.CreateProduct(created)
    request = price(created.product.product_id)
    answers = await asyncio.gather(*(shop.orders.CreatePrice(request) for _ in range(8)))
    assert all(answer.price == request.price for answer in answers)


async def test_create_price_with_a_taken_id_is_refused(shop: Shop) -> None:
    created = product()
    await shop.orders.CreateProduct(created)
    request = price(created.product.product_id)
    await shop.orders.CreatePrice(request)
    request.price.unit_amount_minor += 1
    async with refused("PRICE_EXISTS_WITH_DIFFERENT_FIELD") as answer:
        await shop.orders.CreatePrice(request)
    assert answer.metadata["field"] == "unit_amount_minor"


async def test_create_price_of_an_unknown_product_is_refused(shop: Shop) -> None:
    async with refused("PRODUCT_NOT_FOUND"):
        await shop.orders.CreatePrice(price(fresh_id()))


async def test_request_of_a_wrong_shape_is_refused(shop: Shop) -> None:
    async with refused("INVALID_REQUEST") as answer:
        await shop.orders.CreateProduct(checkout_pb2.CreateProductRequest())
    assert answer.metadata["field"] == "product"
