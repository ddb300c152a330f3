"""Draw playground/still-NAME.html, the still picture of each of the playground's presets: for paper
and for readers without scripts.

python _ext/stills.py: the playground's own engine trains each preset in headless Chromium and draws
its points after the last step. Do this after a change of the engine or of a preset.
"""

import playground
from headless import headless_browser
from playwright.sync_api import Browser

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
    with headless_browser() as browser:
        for preset in playground.presets():
            path = playground.FOLDER / f"still-{preset}.html"
            path.write_text(drawn(browser, preset), encoding="utf-8")
            print(f"{path}: {path.stat().st_size / 1000:.1f} kB")


if __name__ == "__main__":
    main()
