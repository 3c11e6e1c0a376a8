"""O1: the Kubernetes manifests name every process, and give each the settings that it cannot start without."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.stack_settings import ADDRESSES
from orchestrator import setup
from services.runtime.settings import DatabaseSettings, Settings
from services.runtime.temporal import TemporalSettings

MANIFESTS = Path(__file__).resolve().parents[2] / "deploy" / "k8s"
PROCESSES = ("ledger", "vouchers", "checkout", "orchestrator")
SERVICES = ("ledger", "vouchers", "checkout")


def documents(file: str) -> dict[tuple[str, str], Any]:
    """Objects of one file by kind and name."""
    loaded = yaml.safe_load_all((MANIFESTS / file).read_text())
    return {(document["kind"], document["metadata"]["name"]): document for document in loaded}


WORKLOADS = {
    "checkout": documents("checkout.yaml")["Deployment", "checkout"],
    "orchestrator": documents("orchestrator.yaml")["Deployment", "orchestrator"],
    "set-up-temporal": documents("temporal.yaml")["Job", "set-up-temporal"],
}


def container_of(workload: Any) -> Any:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return container


def shared_settings() -> dict[str, str]:
    lines = (MANIFESTS / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def environment_of(container: Any) -> dict[str, str]:
    """The environment that the container would see, with the secrets of the example."""
    environment: dict[str, str] = {}
    secrets = documents("secrets.example.yaml")
    for source in container["envFrom"]:
        if "configMapRef" in source:
            environment |= shared_settings()
        else:
            environment |= secrets["Secret", source["secretRef"]["name"]]["stringData"]
    return environment | {entry["name"]: entry["value"] for entry in container["env"]}


def settings_of(module: str) -> type[Settings]:
    """The one class of settings that a process's main module uses."""
    (found,) = {
        value
        for value in vars(import_module(module)).values()
        if isinstance(value, type) and issubclass(value, Settings) and value not in (Settings, DatabaseSettings)
    }
    return found


def variables_of(settings: type[Settings]) -> set[str]:
    prefix = settings.model_config["env_prefix"]
    fields = settings.model_fields.items()
    return {str(field.validation_alias or f"{prefix}{name}".upper()) for name, field in fields}


@pytest.mark.parametrize("process", PROCESSES)
def test_process_has_a_deployment_and_a_service_that_fit_its_listeners(process: str) -> None:
    found = documents(f"{process}.yaml")
    container = container_of(found["Deployment", process])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["name"]: port["port"] for port in found["Service", process]["spec"]["ports"]} == ports
    assert container["readinessProbe"]["grpc"]["port"] == ports["grpc"]
    listeners = {entry["value"] for entry in container["env"] if entry["name"].endswith("ADDRESS")}
    assert listeners == {f"0.0.0.0:{port}" for port in ports.values()}
    if process in SERVICES:
        assert shared_settings()[ADDRESSES[process][0]] == f"{process}:{ports['grpc']}"


@pytest.mark.parametrize("process", PROCESSES)
def test_process_gets_every_setting_that_it_needs_and_none_that_it_does_not_know(
    process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = container_of(documents(f"{process}.yaml")["Deployment", process])
    settings = settings_of(container["args"][0])
    for name in variables_of(settings):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment_of(container).items():
        monkeypatch.setenv(name, value)

    settings()

    own = {entry["name"] for entry in container["env"]}
    assert own <= variables_of(settings)


@pytest.mark.parametrize("process", PROCESSES)
def test_pod_outlives_its_drain(process: str) -> None:
    deployment = documents(f"{process}.yaml")["Deployment", process]
    container = container_of(deployment)
    leaving_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain_s = settings_of(container["args"][0]).model_fields["drain_grace_s"].default
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > leaving_s + drain_s


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_run_as_the_owner_whom_the_service_never_sees(service: str) -> None:
    migration = container_of(documents("migrations.yaml")["Job", f"migrate-{service}"])
    assert migration["args"] == ["services.runtime.migrations", service, "up"]
    assert f"{service.upper()}_MIGRATION_DATABASE_URL" in environment_of(migration)
    process = container_of(documents(f"{service}.yaml")["Deployment", service])
    assert not {name for name in environment_of(process) if "MIGRATION" in name}


@pytest.mark.parametrize("process", ["checkout", "orchestrator", "set-up-temporal"])
def test_whoever_speaks_to_temporal_finds_the_files_that_the_settings_may_name(process: str) -> None:
    """Of what is commented out in the settings, every name is one, and every file is in the secret."""
    lines = (MANIFESTS / "settings.env").read_text().splitlines()
    optional = dict(line.removeprefix("# ").split("=", 1) for line in lines if line.startswith("# TEMPORAL_"))
    assert {name.removeprefix("TEMPORAL_").lower() for name in optional} <= TemporalSettings.model_fields.keys()
    workload = WORKLOADS[process]
    (mount,) = container_of(workload)["volumeMounts"]
    (volume,) = workload["spec"]["template"]["spec"]["volumes"]
    assert volume["secret"]["optional"]
    files = documents("secrets.example.yaml")["Secret", volume["secret"]["secretName"]]["stringData"]
    assert {value for value in optional.values() if value != "true"} == {
        f"{mount['mountPath']}/{file}" for file in files
    }


def test_temporal_is_set_up_by_a_job() -> None:
    container = container_of(WORKLOADS["set-up-temporal"])
    assert container["args"] == [setup.__name__]
    settings = environment_of(container | {"env": []})
    assert settings["TEMPORAL_ADDRESS"]


def test_kustomization_lists_every_manifest_but_the_example() -> None:
    kustomization = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())
    manifests = {path.name for path in MANIFESTS.glob("*.yaml")}
    assert set(kustomization["resources"]) == manifests - {"kustomization.yaml", "secrets.example.yaml"}
