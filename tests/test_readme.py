"""What the README shows is what happens."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_losses_print_what_the_readme_says():
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    shown = re.search(r"```text\n(0\.05.*?)```", README, re.DOTALL)[1]
    with redirect_stdout(StringIO()) as printed:
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue() == shown


def test_every_file_and_picture_that_it_names_is_there():
    root = Path(__file__).parent.parent
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert pictures
    assert all((root / picture).is_file() for picture in pictures)
