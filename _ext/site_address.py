"""Sphinx extension: derive the published site's address from the repository's, so that _config.yml holds only one."""

from urllib.parse import urlsplit


def derive(app, config):
    """https://github.com/OWNER/NAME is published by GitHub Pages at https://OWNER.github.io/NAME/."""
    owner, name = urlsplit(config.html_theme_options["repository_url"]).path.strip("/").split("/")
    config.html_baseurl = config.ogp_site_url = f"https://{owner}.github.io/{name}/"
    config.notfound_urls_prefix = (
        f"/{name}/"  # the 404 page is served at any depth, so its links are absolute
    )


def setup(app):
    # Early: sphinxext.opengraph and notfound read these values in the same event.
    app.connect("config-inited", derive, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
