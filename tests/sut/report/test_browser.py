"""Pages in a real browser, 400 and 1280 pixels wide: nothing sticks out, and text can be read."""

from __future__ import annotations

import json
import shutil
import subprocess
from html import unescape
from typing import TYPE_CHECKING

import pytest

from tests.sut.helpers.program import run_here
from tests.sut.report.made import run_folder, table, table_folder, tuning_folder

if TYPE_CHECKING:
    from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = (400, 1280)
LEAST_PX = 9  # lower letters cannot be read

# Frames of both widths, and what a script finds in each: a page itself has no script.
FRAME = '<iframe data-page="{page}" src="{url}" style="width:{width}px;height:900px"></iframe>'
SCRIPT = """<script>onload = () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, width = page.documentElement.clientWidth;
    const words = [...page.querySelectorAll("figure svg:not(.swatch) text")]
      .map(word => word.getBoundingClientRect());
    return {
      page: frame.dataset.page, width,
      scrolls: page.documentElement.scrollWidth > width,
      charts: page.querySelectorAll("figure svg:not(.swatch)").length,
      drawn: [...page.querySelectorAll("figure svg:not(.swatch)")]
        .filter(chart => chart.getBoundingClientRect().height > 150).length,
      outside: words.filter(word => word.left < -1 || word.right > width + 1).length,
      lowest: Math.min(...words.map(word => word.height)),
    };
  });
  document.body.innerHTML = "";
  document.body.append("FOUND" + JSON.stringify(found) + "END");
}</script>"""


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no browser is installed")
def test_a_browser_shows_every_kind_of_page_narrow_and_wide(tmp_path: Path) -> None:
    folders = {
        "run": run_folder(tmp_path / "run"),
        "offline": table_folder(tmp_path / "offline", table()),
        "online": table_folder(tmp_path / "online", table(load="closed")),
        "tuning": tuning_folder(tmp_path / "tuning"),
    }
    for folder in folders.values():
        assert run_here("report", folder).code == 0
    frames = [
        FRAME.format(page=page, url=(folder / "report.html").as_uri(), width=width)
        for page, folder in folders.items()
        for width in WIDTHS
    ]
    (tmp_path / "frames.html").write_text(f"<body>{''.join(frames)}{SCRIPT}", "utf-8")

    dom = opened(tmp_path / "frames.html", tmp_path)

    found = json.loads(unescape(dom.partition("FOUND")[2].partition("END")[0]))
    assert len(found) == len(frames)
    charts = {"run": 5, "offline": 3, "online": 3, "tuning": 5}
    for frame in found:
        assert frame["width"] in WIDTHS, frame
        assert not frame["scrolls"], frame
        assert frame["drawn"] == frame["charts"] == charts[frame["page"]], frame
        assert frame["outside"] == 0, frame
        assert frame["lowest"] >= LEAST_PX, frame


def opened(page: Path, folder: Path) -> str:
    """Return what a browser made of a page."""
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--allow-file-access-from-files", f"--user-data-dir={folder / 'profile'}"),
            *("--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    return done.stdout
