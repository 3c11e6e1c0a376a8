"""`python deploy/generate_protos.py`: the Python code of all protos, in protos/gen.

Run by its path, because it comes before the installation of this package. Our own protos and buf's validation rules are
generated; google.rpc comes from googleapis-common-protos, and its vendored copy is for the compiler only.
"""

import shutil
import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parents[1] / "protos"
GENERATED = PROTOS / "gen"
RULES = "buf/validate/validate.proto"
GENERATORS = ("python", "grpc_python", "mypy", "mypy_grpc")


def generate(target: Path) -> int:
    """Compile everything into `target`; protoc's exit code."""
    programs = Path(sys.executable).parent
    plugins = [f"--plugin=protoc-gen-{name}={programs / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc")]
    includes = [f"-I{folder}" for folder in (PROTOS, PROTOS / "vendor", files("grpc_tools") / "_proto")]
    outputs = [f"--{name}_out={'quiet:' if 'mypy' in name else ''}{target}" for name in GENERATORS]
    sources = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "quittance").rglob("*.proto"))
    return int(protoc.main(["protoc", *includes, *plugins, *outputs, RULES, *sources]))


def main() -> int:
    """Generate beside the old code and put it in its place only when it is complete."""
    unfinished = GENERATED.with_name("gen.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    status = generate(unfinished)
    if status == 0:
        (unfinished / ".made").touch()
        shutil.rmtree(GENERATED, ignore_errors=True)
        unfinished.rename(GENERATED)
    return status


if __name__ == "__main__":
    sys.exit(main())
