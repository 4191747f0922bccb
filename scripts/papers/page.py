"""docs/papers.md: for each row its text, command, table and figure, out of what is on record."""

import datetime
import platform
import re
import textwrap

from papers.runs import ROOT

PAGE = ROOT / "docs/papers.md"


def machine():
    with open("/proc/cpuinfo") as lines:
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(names)} threads"


def table_text(head, rows):
    line = lambda cells: "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"  # noqa: E731
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def section(row, found, records):
    """The text between a row's marks."""
    head, rows = row.table(found)
    seconds = sum(record["seconds"] for record in records)
    machines = sorted({record["machine"] for record in records})
    when = max((record["date"] for record in records), default=str(datetime.date.today()))
    said = (
        f"`scripts/papers.sh {row.name}`, {when}: {len(records)} runs, {seconds / 60:.0f} minutes of one thread in "
        f"all. Machine: {'; '.join(machines)}. Own numbers are means ± standard deviations over (n) seeds."
    )
    parts = [textwrap.fill(row.about, 118), textwrap.fill(said, 118), table_text(head, rows)]
    if row.figure:
        parts.append(f"![{row.title}](papers/{row.name}.svg)")
    return "\n\n".join(parts)


def write_section(row, found, records):
    """Puts a row's section in its place on the page."""
    if row.figure:
        figure = row.figure(found)
        figure.savefig(ROOT / f"docs/papers/{row.name}.svg", metadata={"Date": None})
    text = PAGE.read_text()
    begin, end = f"<!-- {row.name} -->", f"<!-- /{row.name} -->"
    filled, count = re.subn(
        re.escape(begin) + ".*?" + re.escape(end),
        lambda _: f"{begin}\n{section(row, found, records)}\n{end}",
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise SystemExit(f"{PAGE}: {begin} does not stand there once")
    PAGE.write_text(filled)
