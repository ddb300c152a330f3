"""Interactive figures that run in the page itself: no kernel, no network, and a still figure
without scripts.
"""
