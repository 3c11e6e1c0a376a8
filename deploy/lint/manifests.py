"""Renders the Kubernetes manifests and holds them against the API's schema, without a cluster."""

import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from deploy.lint.programs import kustomize

MANIFESTS = Path(__file__).resolve().parents[1] / "k8s"
KUBERNETES_VERSION = "1.32"


class ManifestInvalid(Exception):
    """The manifests cannot be rendered, or an object does not fit the API's schema."""


def render() -> list[dict[str, Any]]:
    """All objects of deploy/k8s. Raises ProgramMissing, ManifestInvalid."""
    result = subprocess.run([*kustomize(), str(MANIFESTS)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ManifestInvalid(result.stderr)
    return [document for document in yaml.safe_load_all(result.stdout) if document]


def check() -> str:
    """Validate every object strictly: an unknown field is an error. Raises ProgramMissing, ManifestInvalid."""
    objects = render()
    for document in objects:
        try:
            kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            name = f"{document['kind']}/{document['metadata']['name']}"
            raise ManifestInvalid(f"{name}: {error.message} at {list(error.path)}") from error
    return f"{len(objects)} objects"
