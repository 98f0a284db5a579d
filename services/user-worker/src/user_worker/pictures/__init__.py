"""Charts as PNG, drawn by hand as SVG and painted by resvg in a process beside the worker.

`candles` and `portfolio` lay a picture out; `frame`, `scale`, `theme` and `svg` are what both are
made of; `rendering` has it painted by `painter`. Figures and words come ready to show: see
`user_worker.domain.pictures`.
"""

from user_worker.pictures.rendering import ResvgPictures

__all__ = ["ResvgPictures"]
