"""Settings and logs keep secrets to themselves."""

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from services.runtime.logs import describe_exception
from services.runtime.settings import DatabaseSettings


class ShelfSettings(DatabaseSettings):
    model_config = SettingsConfigDict(env_prefix="SHELF_")


SECRET = "postgresql://shelf_app:hunter2@127.0.0.1/shelf"


def test_settings_are_read_below_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELF_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("SHELF_DATABASE_URL", SECRET)
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    settings = ShelfSettings()
    assert (settings.address, settings.database_url, settings.log_level) == ("127.0.0.1:1", SECRET, "WARNING")
    assert "hunter2" not in repr(settings)


def test_settings_complaint_about_one_does_not_show_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELF_DATABASE_URL", SECRET)
    with pytest.raises(ValidationError) as caught:
        ShelfSettings()
    assert "address" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_describe_exception_gives_types_and_places_without_texts() -> None:
    """C-3: an exception's text may quote a row."""
    try:
        try:
            raise ValueError(SECRET)
        except ValueError as cause:
            raise KeyError(SECRET) from cause
    except KeyError as error:
        event = dict(describe_exception(None, "error", {"event": "x", "exc_info": error}))
    assert event["causes"] == ["KeyError", "ValueError"]
    assert __file__ in str(event["trace"])
    assert "hunter2" not in str(event)
