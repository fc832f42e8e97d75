"""Writes a benchmark's record: record.json, README.md, and a table on the screen."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.options import Options
from distill_runner.runtime.machine import versions
from distill_runner.storage.store import write_json

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Report:
    """A table and its raw figures; the first column names the rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    found: dict[str, Any] = field(default_factory=dict)  # all raw figures

    def table(self) -> Table:
        table = Table(title=self.title, title_justify="left", box=box.SIMPLE_HEAD)
        for at, column in enumerate(self.columns):
            table.add_column(column, justify="right" if at else "left", no_wrap=at == 0)
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        ruler = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [" | ".join(cells) for cells in (self.columns, ruler, *self.rows)]
        return "\n".join(f"| {line} |" for line in lines) + "\n"


def write(report: Report, options: Options, argv: Sequence[str]) -> None:
    """Write record.json and README.md into the output folder."""
    facts = {
        "title": report.title,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "benchmarks", *portable(argv)],
        "commit": _commit(),
        "machine": machine(),
        "versions": _versions(),
        "settings": {name: _portable(value) for name, value in asdict(options).items()},
        **report.found,
        "table": {"columns": report.columns, "rows": report.rows},
    }
    write_json(options.folder / "record.json", facts)
    where = (
        f"{facts['machine']['processor']}, {options.threads} thread(s), commit {facts['commit']}"
    )
    text = [
        f"# {report.title}\n",
        report.markdown(),
        *(f"{note}\n" for note in report.notes),
        f"{where}; {', '.join(options.precision)}. Every figure of every round: record.json.\n",
        f"```bash\nscripts/bench {' '.join(portable(argv))}\n```\n",
    ]
    (options.folder / "README.md").write_text("\n".join(text), encoding="utf-8")


def portable(given: Sequence[str]) -> list[str]:
    """Return the arguments as typed, with paths shortened to their last part."""
    return [str(_portable(value)) for value in given]


def _portable(value: object) -> object:
    if isinstance(value, str) and value.startswith(("/", "~", "./", "../")):
        return Path(value).name
    return value


def machine() -> dict[str, Any]:
    """Return the processor, and the parts of its instruction set that affect speed."""
    text = _CPUINFO.read_text(encoding="utf-8") if _CPUINFO.exists() else ""
    name = re.search(r"model name\s*:\s*(.+)", text)
    flags = re.search(r"flags\s*:\s*(.+)", text)
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return {
        "processor": name[1] if name else platform.processor() or platform.machine(),
        "cores": len(re.findall(r"^processor\s*:", text, re.MULTILINE)) or None,
        "instructions": [flag for flag in wanted if flags and flag in flags[1].split()],
        "system": platform.platform(),
    }


def times(ratio: float) -> str:
    """Format a factor with two or three digits."""
    return f"{ratio:.2f}×" if ratio < 10 else f"{ratio:.1f}×"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _commit() -> str | None:
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True)
        changes = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True)
    except OSError:  # git is not installed
        return None
    if head.returncode != 0:
        return None
    return head.stdout.decode().strip() + (" with changes" if changes.stdout.strip() else "")


def _versions() -> dict[str, str]:
    found = versions()
    # Peers come last on the path, if they are installed.
    for name in ("tokenizers", "accelerate", "textbrewer"):
        for distribution in metadata.distributions(name=name, path=sys.path):
            found.setdefault(name, distribution.version)
    return found
