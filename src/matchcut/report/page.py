"""The report as one page that a person can read, and as JSON beside it."""

import json
from pathlib import Path
from typing import Any

from matchcut.collection import Collection
from matchcut.files import write_text
from matchcut.fusion.selection import decimals
from matchcut.pages import Pictures, render
from matchcut.report.content import Report
from matchcut.report.plots import curves, q_curve


def write_report(report: Report, path: Path | str, *, collection: Collection | None = None) -> list[Path]:
    """Write the page, and the same numbers beside it as JSON: `report.html` and `report.json`.

    Args:
        collection: where the pictures of items and shots come from; without one their ids are shown.

    Raises:
        MatchcutError: if a file cannot be written.
    """
    path = Path(path)
    pages = [path, path.with_suffix(".json")]
    write_text(pages[0], page(report, collection=collection))
    write_text(pages[1], json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n")
    return pages


def page(report: Report, *, collection: Collection | None = None) -> str:
    """The page as HTML text, with its plots and pictures inside."""
    pictures = Pictures(collection) if collection is not None else None
    values: dict[str, Any] = {
        "title": report.title,
        "report": report,
        "verdicts": report.verdicts(),
        "curves": curves(report.curves),
        "q_curve": q_curve(report.ensemble.sweep, report.ensemble.measure)
        if report.ensemble and report.ensemble.sweep
        else "",
        "picture": pictures.uri if pictures else lambda key: "",
        "decimals": decimals,
        "failed": pictures.failed if pictures else {},  # filled while the template asks for pictures
        "with_pictures": pictures is not None,
    }
    return render("matchcut.report", "report.html", **values)
