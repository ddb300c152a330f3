"""Draw playground/still-NAME.html, the still picture of each of the playground's presets: for paper
and for readers without scripts.

python _ext/stills.py: the playground's own engine trains each preset in headless Chromium and draws
its points after the last step. Do this after a change of the engine or of a preset.
"""

import shutil

import playground
from playwright.sync_api import Browser, sync_playwright

DRAWS = [*playground.ENGINE, "turn", "still"]  # the scripts that train and draw


def drawn(browser: Browser, preset: str) -> str:
    """The picture of a preset, as HTML."""
    page = browser.new_page()
    page.set_default_timeout(300_000)
    page.add_script_tag(content="\n".join(playground.read(f"{name}.js") for name in DRAWS))
    picture = page.evaluate("(preset) => stillPicture(preset)", preset)
    page.close()
    return picture


def main() -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit(
            "the pictures are drawn by chromium or google-chrome, and neither is here: apt "
            "install chromium"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for preset in playground.presets():
            path = playground.FOLDER / f"still-{preset}.html"
            path.write_text(drawn(browser, preset), encoding="utf-8")
            print(f"{path}: {path.stat().st_size / 1000:.1f} kB")
        browser.close()


if __name__ == "__main__":
    main()
