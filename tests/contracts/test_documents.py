"""Documents say what is there, and the checkout stays tidy."""

import ast
import posixpath
import re
from collections.abc import Iterator

import pytest

from tests.contracts.checkout_tree import ROOT, files, python_files, read, texts
from tests.contracts.environment import settings_classes, stack_variables, variables_of, variables_read

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

PRODUCT = python_files("services", "orchestrator", "deploy")
DOCUMENTS = [path for path in files() if path.endswith(".md") and not path.startswith("protos/vendor/")]


# In two parts each, so that this file does not hold them either.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("goproxy", "io"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("anaconda", "org"),
        ("debian", "org"),
        ("ubuntu", "com"),
    )
]
REGISTRY = re.compile("|".join(rf"(?<![\w-]){re.escape(host)}(?![\w-])" for host in REGISTRIES), re.IGNORECASE)
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")


def make_targets() -> set[str]:
    """What the Makefile can make by name."""
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", read("Makefile"), re.MULTILINE))


def targets_named(text: str) -> set[str]:
    """Targets after "make" in code: in backquotes, or at the beginning of a line in a block."""
    lines = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^(?:\s*\$\s|\s{4})?(make .*)$", text, re.MULTILINE)
    commands = [line for line in lines if line.strip().startswith("make ")]
    words = [word for command in commands for word in re.split(r"\s#|&&|;", command)[0].split()[1:]]
    return {word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)}


def too_long(path: str, text: str) -> Iterator[str]:
    """A file, or functions in it, that nobody reads at one sitting."""
    if (lines := len(text.splitlines())) > FILE_LINES_MAX:
        yield f"{path}: {lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{path}:{node.lineno}: {node.name} has {lines} lines"


def linked_files(path: str) -> set[str]:
    """The files of this checkout that a document links to or shows."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", read(path))
    folder = posixpath.dirname(path)
    return {posixpath.normpath(posixpath.join(folder, target)) for target in targets if "://" not in target}


def lines_with(pattern: re.Pattern[str], path: str, text: str) -> list[str]:
    """Where a pattern is found, as "path:line: text found"."""
    return [
        f"{path}:{number}: {match[0]}"
        for number, line in enumerate(text.splitlines(), start=1)
        for match in pattern.finditer(line)
    ]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_link_in_a_document_leads_somewhere(path: str) -> None:
    assert [target for target in linked_files(path) if not (ROOT / target).exists()] == []


def test_picture_is_shown_in_a_document() -> None:
    pictures = {path for path in files() if path.startswith(("docs/pictures/", "docs/images/"))}
    assert pictures
    assert pictures - {target for path in DOCUMENTS for target in linked_files(path)} == set()


@pytest.mark.parametrize("path", DOCUMENTS)
def test_make_target_in_a_document_exists(path: str) -> None:
    assert targets_named(read(path)) - make_targets() == set()


def test_make_targets_are_read_from_documents_and_makefile() -> None:
    assert targets_named("Run `make demo ONCE=1` and `made`; make no mistake.") == {"demo"}
    assert targets_named("```\nmake bench NAME=orders   # numbers\n$ make lint && true\n```") == {"bench", "lint"}
    assert {"demo", "test", "bench", "lint", "help"} <= make_targets()


def test_readme_shows_the_two_commands_first() -> None:
    """What a newcomer needs is on the first screen."""
    first_screen = "\n".join(read("README.md").splitlines()[:40])
    assert {"demo", "test"} <= targets_named(first_screen)


def test_make_target_of_the_makefile_is_explained() -> None:
    makefile = read("Makefile")
    phony = set(re.findall(r"^\.PHONY: ([a-z-]+)$", makefile, re.MULTILINE))
    explained = set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))
    assert phony - explained - {"renew"} == set()


@pytest.fixture(scope="module")
def documented() -> str:
    return "\n".join(read(path) for path in DOCUMENTS if path == "README.md" or path.startswith("docs/"))


def undocumented(variables: list[tuple[str, ...]], documents: str) -> list[str]:
    """The variables of which no spelling stands in the documents as a word of its own."""
    return sorted(
        {
            spellings[0]
            for spellings in variables
            if not any(re.search(rf"(?<!\w){re.escape(spelling)}(?!\w)", documents) for spelling in spellings)
        }
    )


def test_settings_of_every_process_are_found() -> None:
    names = {cls.__name__ for cls in settings_classes()}
    assert {"LedgerSettings", "OrchestratorSettings", "SandboxSettings"} <= names


@pytest.mark.parametrize("settings", settings_classes(), ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_setting_of_any_process_is_documented(settings: type, documented: str) -> None:
    assert undocumented(list(variables_of(settings)), documented) == []


def test_variable_read_from_the_environment_is_documented(documented: str) -> None:
    # The machine's own, not ours.
    foreign = {("PATH",), ("HOME",), ("XDG_CACHE_HOME",), ("NO_COLOR",), ("COLUMNS",)}
    variables = {spelling for path in PRODUCT for spelling in variables_read(path)} - foreign
    assert undocumented([*variables, *stack_variables()], documented) == []


def test_undocumented_variable_is_found() -> None:
    variables = [("LEDGER_BOOKS",), ("LEDGER_ADDRESS", "<SERVICE>_ADDRESS"), ("MISSING",)]
    assert undocumented(variables, "LEDGER_BOOKS_MAX, `<SERVICE>_ADDRESS`") == ["LEDGER_BOOKS", "MISSING"]


@pytest.mark.parametrize("path", PRODUCT)
def test_file_and_its_functions_stay_small(path: str) -> None:
    assert list(too_long(path, read(path))) == []


def test_long_file_and_long_function_are_found() -> None:
    text = "def f():\n" + "    pass\n" * FILE_LINES_MAX
    assert len(list(too_long("x.py", text))) == 2


def test_work_is_finished() -> None:
    found = [
        line
        for path, text in texts()
        if not path.startswith("protos/vendor/")
        for line in lines_with(UNFINISHED, path, text)
    ]
    assert found == []


def test_no_file_names_a_package_registry() -> None:
    """Whoever installs uses the registry of his own settings: a mirror, or none."""
    assert [line for path, text in texts() for line in lines_with(REGISTRY, path, text)] == []


def test_unfinished_work_and_registries_are_found() -> None:
    assert lines_with(UNFINISHED, "x", "# " + "TO" + "DO: more")
    assert lines_with(REGISTRY, "x", "https://files." + REGISTRIES[1] + "/packages")
    assert not lines_with(REGISTRY, "x", "www.mypypi" + ".org.example")
