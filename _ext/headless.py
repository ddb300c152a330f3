"""A browser without a window, for what is drawn or printed by one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright


@contextmanager
def headless_browser() -> Iterator[Browser]:
    """Chromium or Chrome, whichever is installed; SystemExit, with what to do, where neither is."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit(
            "this needs chromium or google-chrome, and neither is here: apt install chromium"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
