"""What the template of the temperature slider asks for: the first anchor, drawn and in words."""

from bisect import bisect_left

from contrastlib.gradients import effective_negatives, entropy, relative_penalty
from contrastlib.losses import contrastive
from contrastlib.teaching.widgets import tau_slider_parts as parts
from contrastlib.teaching.widgets.base import format_percent, list_of_similarities, to_attribute
from contrastlib.teaching.widgets.tau_slider_data import (
    SHOWN,
    TAUS,
    Held,
    HeldSource,
    as_json,
    axis_ends,
    shown_ranks,
)

PRESETS = (0.05, 0.2, 1.0)


def context(sources: list[HeldSource], tau: float) -> dict[str, object]:
    """What the template's placeholders stand for: the data, and the first anchor at tau."""
    first = sources[0].anchors[0]
    shares = relative_penalty(first.s_neg[None], tau)[0]  # [M]
    taus = sorted({*TAUS, tau})
    stops = taus
    if first.tau_of_ten is not None:
        stops = sorted({*taus, first.tau_of_ten})
    low, high = axis_ends(sources)
    summary = sources[0].sentence.replace("TAU", f"{tau:g}")
    summary = summary.replace("SHARE", format_percent(shares[:SHOWN].sum().item()))
    held, images = as_json(sources)
    return {
        "sources": to_attribute(held),
        "images": to_attribute(images),
        "taus": to_attribute(taus),
        "low": low,
        "high": high,
        "tau": f"{tau:g}",
        "stop": bisect_left(stops, tau),
        "last": len(stops) - 1,
        "choice_of_source": choice_of_source(sources),
        "choices": choices(sources),
        "anchor_image": first.image,
        "positive": positive(first),
        "scale": parts.slider_scale(stops),
        "presets": presets(sources),
        "thumbnails": thumbnails(first, shares.tolist()),
        "summary": summary,
        "numbers": numbers(first, tau),
        "histogram": parts.histogram(first.s_neg, low, high),
        "bars": parts.bars(first.s_neg, shares, low, high),
        "curve": parts.curve(first.s_neg[0].item(), tau, low, high),
        "x_positive": f"{parts.x_of(first.s_pos.item(), low, high):.1f}",
        "ticks": parts.ticks(low, high),
    }


def choice_of_source(sources: list[HeldSource]) -> str:
    """Return the list of sources of which the reader chooses; nothing where there is one alone."""
    if len(sources) == 1:
        return ""
    return list_of_similarities(source.name for source in sources)


def choices(sources: list[HeldSource]) -> str:
    """Return the row of images of which the reader chooses the anchor; nothing where there is one
    alone. The script fills it anew for each source.
    """
    if max(len(source.anchors) for source in sources) == 1:
        return ""
    labels = ""
    for number, anchor in enumerate(sources[0].anchors):
        checked = " checked" if number == 0 else ""
        labels += (
            '<label><input type="radio" name="anchor" '
            f'aria-label="anchor {anchor.name}"{checked} disabled>'
            f'<img alt="anchor {anchor.name}" src="{anchor.image}"></label>\n'
        )
    return (
        '<fieldset class="choices">'
        "<legend><small>Tap an image to make it the anchor.</small></legend>\n"
        f"{labels}</fieldset>"
    )


def positive(anchor: Held) -> str:
    """Return the positive as a figure; nothing where there is no image of it."""
    if anchor.positive is None:
        return ""
    image = f'<img alt="the positive" src="{anchor.positive}">'
    return f'<figure class="positive">{image}<small>positive</small></figure>'


def presets(sources: list[HeldSource]) -> str:
    """Return the buttons; the one for ten effective negatives where an anchor can have them."""
    buttons = ""
    for tau in PRESETS:
        buttons += f'<button type="button" data-tau="{tau:g}">τ = {tau:g}</button>\n'
    if any(anchor.tau_of_ten is not None for source in sources for anchor in source.anchors):
        buttons += '<button type="button" data-ten>ten effective negatives</button>'
    return buttons


def numbers(anchor: Held, tau: float) -> str:
    """Return the four numbers below the images as rows of a description list."""
    s_neg = anchor.s_neg[None]
    r = relative_penalty(s_neg, tau)
    loss = contrastive(anchor.s_pos, s_neg, tau).item()
    nats = entropy(r).item()
    effective = effective_negatives(r).item()
    nearest = r[0, 0].item()
    shown_loss = "<0.001" if loss < 5e-4 else f"{loss:.3f}"
    rows = [
        ("loss", "loss", "nats", loss, shown_loss),
        ("entropy", "entropy of the push", "nats", nats, f"{nats:.3f}"),
        ("effective", "effective negatives", f"of {s_neg.shape[1]}", effective, f"{effective:.1f}"),
        ("nearest", "push on the nearest", "", nearest, format_percent(nearest)),
    ]
    return "\n".join(
        f"<div><dt>{label}</dt>"
        f'<dd><span data-quantity="{name}" data-value="{value!r}">{text}</span> '
        f"<small>{unit}</small></dd></div>"
        for name, label, unit, value, text in rows
    )


def thumbnails(anchor: Held, shares: list[float]) -> str:
    """Return the shown negatives as list items: image, a bar as long as the share of the push, and
    the share.
    """
    items = ""
    for rank, image in zip(shown_ranks(len(shares)), anchor.thumbnails, strict=True):
        share = shares[rank - 1]
        kind = ""
        place = ""
        if rank > SHOWN:
            kind = ' class="distant"'  # "far" is Font Awesome's, which the theme loads
            place = f'<small class="place">no. {rank}</small>'
        items += (
            f'<li{kind} data-rank="{rank}" data-value="{share!r}">'
            f'<img alt="similarity {anchor.s_neg[rank - 1].item():.3f}" src="{image}">'
            f'<div class="bar"><span style="width: {100 * share:.2f}%"></span></div>'
            f'<small class="share">{format_percent(share)}</small>{place}</li>\n'
        )
    return items
