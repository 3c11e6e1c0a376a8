"""O1: addresses and credentials of a local stack."""

import socket
from pathlib import Path

import pytest

from deploy.local.stack_settings import PortTaken, SettingMissing, StackSettings

DATABASES = {
    f"{service}_{kind}": f"postgresql://{service.lower()}@db/{service.lower()}"
    for service in ("LEDGER", "VOUCHERS", "CHECKOUT")
    for kind in ("DATABASE_URL", "MIGRATION_DATABASE_URL")
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DATABASES:
        monkeypatch.delenv(name, raising=False)


def test_two_stacks_with_free_ports_share_no_port(tmp_path: Path) -> None:
    first, second = (StackSettings(tmp_path, free_ports=True) for _ in range(2))
    assert not set(first.addresses.values()) & set(second.addresses.values())


def test_address_of_another_process_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_ADDRESS", "127.0.0.1:61234")
    assert StackSettings(tmp_path).addresses["ledger"] == "127.0.0.1:61234"
    assert StackSettings(tmp_path, {"ledger": 61235}).addresses["ledger"] == "127.0.0.1:61235"


def test_port_of_somebody_else_is_refused_and_its_setting_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        settings = StackSettings(tmp_path, {"vouchers": somebody.getsockname()[1]})
        with pytest.raises(PortTaken, match="VOUCHERS_ADDRESS"):
            settings.check_ports(["vouchers"])


def test_process_gets_no_credentials_but_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, url in DATABASES.items():
        monkeypatch.setenv(name, url)
    settings = StackSettings(tmp_path)

    def credentials(process: str) -> set[str]:
        environment = settings.environment(process, DATABASES)
        return {name for name in environment if name.endswith(("DATABASE_URL", "_SECRET", "_API_KEY"))}

    payments = {"SANDBOX_API_KEY", "SANDBOX_WEBHOOK_SECRET"}
    assert credentials("orchestrator") == set()
    assert credentials("ledger") == {"LEDGER_DATABASE_URL"}
    assert credentials("checkout") == {"CHECKOUT_DATABASE_URL"} | payments
    assert credentials("sandbox") == payments


def test_settings_for_a_temporal_elsewhere_are_not_for_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporal's own program reads the same variables."""
    for name in ("TLS", "TLS_SERVER_NAME", "API_KEY", "API_KEY_FILE", "PAYLOAD_CODEC"):
        monkeypatch.setenv(f"TEMPORAL_{name}", "elsewhere")
    environment = StackSettings(tmp_path).environment("checkout", DATABASES)
    inherited = {name for name, value in environment.items() if value == "elsewhere"}
    assert inherited == {"TEMPORAL_PAYLOAD_CODEC"}


def test_other_postgres_needs_all_of_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = StackSettings(tmp_path)
    assert settings.external_databases() == {}
    for name, url in DATABASES.items():
        monkeypatch.setenv(name, url)
    assert settings.external_databases() == DATABASES
    monkeypatch.delenv("CHECKOUT_MIGRATION_DATABASE_URL")
    with pytest.raises(SettingMissing, match="CHECKOUT_MIGRATION_DATABASE_URL"):
        settings.external_databases()
