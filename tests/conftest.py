"""In CI nothing may be skipped: there a skipped test is a failed one, and says why it would have
been skipped.

And what several files use.
"""

import os
import urllib.request
from urllib.error import URLError

import pytest
import torch
from hypothesis import settings

# Of every property 25 examples, however long each takes on a busy machine.
settings.register_profile("fast", deadline=None, max_examples=25)
settings.load_profile("fast")


def _fail_if_skipped(report):
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: not allowed in CI: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return _fail_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return _fail_if_skipped((yield))


@pytest.fixture
def one_thread():
    """So that sums are rounded the same way each time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_map(monkeypatch):
    """Runs draw no map of their embeddings, which takes a second and of which the test says
    nothing.
    """
    monkeypatch.setattr("contrastlib.training.one_run.tsne", lambda *_: {})


@pytest.fixture
def own_data_only(monkeypatch, tmp_path):
    """No network, no data of the user's, a cache folder of the test's own."""

    def refuse(*args, **kwargs):
        raise URLError("name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr("contrastlib.data.readers.DEBIAN", tmp_path / "debian")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CONTRASTLIB_DATA", raising=False)


@pytest.fixture
def root(tmp_path):
    """An empty folder for data sets."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests of the session, without a network."""
    from browser import launch_chromium

    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="the browser tests need `pip install playwright`"
    )
    with sync_api.sync_playwright() as playwright:
        browser = launch_chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def _close_pages():
    """Close what a test opened in the browser, so that the next one finds it as quick as it was."""
    yield
    from browser import OPENED

    while OPENED:
        OPENED.pop().close()
