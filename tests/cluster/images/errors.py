"""What keeps an image from being built.

::

    ImageFailed    one sentence for a person; the builder's own words are above it
"""

# ruff: noqa: N818  # errors are named after what the caller should do


class ImageFailed(Exception):
    """Its text is one whole sentence, fit to be shown as it is."""
