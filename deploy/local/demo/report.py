"""How the demo speaks: headings, one line per call, small tables, and a check mark for each fact."""

import contextlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_WIDTH_MAX = 112
_WIDE = 100
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ID_LETTERS_SHOWN = 6
_FONT_FACE = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)


def short(text: str) -> str:
    """The text with every UUID shortened to its last letters."""
    return _ID.sub(lambda match: f"…{match[0][-_ID_LETTERS_SHOWN:]}", text)


def near(path: Path) -> str:
    """The path as seen from here."""
    return os.path.relpath(path)


@dataclass
class _Part:
    title: str
    began_at: float
    took_s: float = 0.0
    facts: int = 0
    wrong: int = 0


class Report:
    """Prints the story and counts its facts."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, record=True)
        self.console.width = min(self.console.width, _WIDTH_MAX) if self.console.is_terminal else _WIDTH_MAX
        self._parts: list[_Part] = []

    @property
    def is_right(self) -> bool:
        """Whether every fact so far was as it should be."""
        return not any(part.wrong for part in self._parts)

    @contextlib.contextmanager
    def recorded(self, wanted: bool) -> Iterator[None]:
        """Whether what is printed inside becomes part of the picture; outside everything does."""
        self.console.record = wanted
        yield
        self.console.record = True

    def save_picture(self, path: Path, title: str) -> None:
        """Writes what was recorded as SVG that fetches no fonts from anywhere."""
        code_format = _FONT_FACE.sub("", CONSOLE_SVG_FORMAT)
        self.console.save_svg(str(path), title=title, code_format=code_format)

    def part(self, title: str, what: str) -> None:
        """Begins a part of the story."""
        self._parts.append(_Part(title, began_at=time.monotonic()))
        self.console.print()
        heading = f"[bold cyan]{escape(title)}[/]"
        self.console.print(Panel(Text(what), title=heading, title_align="left", border_style="cyan"))

    def gap(self) -> None:
        """An empty line."""
        self.console.print()

    def say(self, text: str) -> None:
        """One sentence of the story; may hold markup of our own."""
        self.console.print(f"  {text}")

    def call(self, method: str, asked: str, answered: str, *, is_refusal: bool = False) -> None:
        """One call and its answer."""
        colour = "yellow" if is_refusal else "green"
        line = Table.grid(padding=(0, 1))
        line.add_column(width=26, no_wrap=True)
        line.add_column(width=28 if self.console.width >= _WIDE else 20, overflow="fold")
        line.add_column(ratio=1, overflow="fold")
        line.add_row(f"  [bold]→[/] {escape(method)}", escape(short(asked)), f"[{colour}]{escape(short(answered))}[/]")
        self.console.print(line)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A small table."""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in columns:
            table.add_column(column, justify="right" if column == "amount" else "left", overflow="fold")
        for row in rows:
            table.add_row(*(escape(short(cell)) for cell in row))
        self.console.print()
        self.console.print(Padding(table, (0, 0, 0, 2)))

    def fact(self, what: str, actual: object, expected: object) -> None:
        """States a fact: a check mark when it is so, the difference when it is not."""
        part = self._parts[-1]
        part.facts += 1
        part.took_s = time.monotonic() - part.began_at
        if actual == expected:
            self.console.print(f"  [bold green]✓[/] {escape(short(what))}")
            return
        part.wrong += 1
        self.console.print(f"  [bold red]✗ {escape(short(what))}[/]")
        self.console.print(f"      expected {escape(str(expected))}", style="red")
        self.console.print(f"      but it is {escape(str(actual))}", style="red")

    def link(self, called: str, url: str) -> None:
        """An address to click, never broken over lines."""
        self.console.print(f"  {called:18} [cyan link={url}]{escape(url)}[/]", soft_wrap=True)

    def broken(self, failure: BaseException) -> None:
        """The part cannot go on."""
        self._parts[-1].wrong += 1
        causes = failure.exceptions if isinstance(failure, BaseExceptionGroup) else (failure,)
        for cause in causes:
            text = escape(f"{type(cause).__name__}: {cause}".strip())
            self.console.print(f"  [bold red]✗ the story breaks off here[/] {text}")

    def summary(self, took_s: float) -> None:
        """All parts at a glance."""
        self.console.print()
        for part in self._parts:
            if part.facts or part.wrong:
                mark = "[bold red]✗[/]" if part.wrong else "[bold green]✓[/]"
                facts = f"[dim]{part.facts} facts, {part.took_s:.0f} s[/]"
                self.console.print(f"  {mark} {escape(part.title)}  {facts}")
        verdict = (
            "[bold green]Everything is as it should be.[/]" if self.is_right else "[bold red]Something is wrong.[/]"
        )
        self.console.print(f"\n  {verdict} [dim]{took_s:.0f} s[/]")
