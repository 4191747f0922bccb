#!/usr/bin/env python3
"""Makes docs/report.png, the picture in the README, from the page that the program writes now.

Usage: scripts/report_picture.py

It trains the demo's model, decomposes it, writes the page and photographs its top (scripts/setup.sh --browser).
"""

import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))

from pages import start_browser  # noqa: E402

WIDTH, HEIGHT = 1200, 1430  # pixels


def main():
    driver = start_browser()
    if isinstance(driver, str):
        sys.exit(driver)
    with tempfile.TemporaryDirectory() as folder:
        run, page = pathlib.Path(folder) / "demo", pathlib.Path(folder) / "report.html"
        for arguments in (
            ["train", "configs/demo.json", "--out", run],
            ["decompose", run],
            ["report", run, "--out", page],
        ):
            subprocess.run(
                [ROOT / "build/bilens", *arguments, "--quiet"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
            )
        driver.set_window_size(WIDTH, HEIGHT)
        inner = driver.execute_script("return [window.innerWidth, window.innerHeight]")
        driver.set_window_size(2 * WIDTH - inner[0], 2 * HEIGHT - inner[1])
        driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        driver.get(page.as_uri())
        driver.save_screenshot(str(ROOT / "docs/report.png"))
    driver.quit()


if __name__ == "__main__":
    main()
