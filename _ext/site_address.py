"""Sphinx extension: derive the published site's address from the repository's, so that _config.yml
holds only one.

It also names the site, gives each page the picture that is shown where a link to it is shared, and
adds a role for what is published beside the pages: {published}`the PDF <book.pdf>`.
"""

from urllib.parse import urlsplit

PICTURE = "_static/whom-does-the-loss-push.png"
PICTURE_IN_WORDS = (
    "Twelve digits near an anchor, and the shares of the loss's push on them at three temperatures."
)


def derive(app, config):
    """GitHub Pages publishes https://github.com/OWNER/NAME at https://OWNER.github.io/NAME/."""
    owner, name = urlsplit(config.html_theme_options["repository_url"]).path.strip("/").split("/")
    address = f"https://{owner}.github.io/{name}/"
    config.html_baseurl = address
    config.ogp_site_url = address
    config.ogp_site_name = config.html_title  # or it would be Sphinx's "Project name not set"
    config.ogp_image = address + PICTURE
    config.extlinks = {"published": (f"{address}%s", None)}
    config.ogp_image_alt = PICTURE_IN_WORDS
    config.notfound_urls_prefix = (
        f"/{name}/"  # the 404 page is served at any depth, so its links are absolute
    )


def setup(app):
    # Early: sphinxext.opengraph and notfound read these values in the same event.
    app.connect("config-inited", derive, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
