"""A directive for what the first page opens with: the temperature slider on the digits, which needs
no kernel.

    ```{temperature-slider}
    :anchor: 23
    ```

The reader may also choose the first digit of each kind as anchor.
"""

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from contrastlib.teaching.widgets.tau_slider import digits_tau_slider

TAU = 0.07  # where the slider starts: the temperature of the first papers
FIRST_OF_EACH = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)  # the rows of the digits begin with one of each


class TemperatureSlider(SphinxDirective):
    """`temperature-slider`, with the option `anchor`: the row of the digit that is shown first."""

    option_spec = {"anchor": directives.nonnegative_int}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        first = self.options.get("anchor", 0)
        others = [row for row in FIRST_OF_EACH if row != first]
        html = digits_tau_slider([first, *others], TAU).html
        return [nodes.raw("", html, format="html")]


def setup(app):
    app.add_directive("temperature-slider", TemperatureSlider)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
