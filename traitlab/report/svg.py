"""A small SVG writer: elements and scales in, escaped text out; the same bytes for the same numbers."""
import math
from dataclasses import dataclass

from markupsafe import Markup, escape


def element(tag: str, *children, **attributes) -> Markup:
    """One element; `class_` stands for class, `stroke_width` for stroke-width; numbers get at most two decimals."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _text(value))
        for key, value in attributes.items() if value is not None)
    inner = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), written, inner)


def _text(value):
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def picture(width: float, height: float, label: str, *children) -> Markup:
    """An <svg> that scales with its column; `label` is what a screen reader says."""
    width, height = _text(float(width)), _text(float(height))
    return element("svg", *children, viewBox=f"0 0 {width} {height}", role="img", aria_label=label,
                   class_="chart wide" if float(width) > 600 else "chart", style=f"max-width:{width}px")


def text(x: float, y: float, content, anchor: str = "start", **attributes) -> Markup:
    return element("text", content, x=float(x), y=float(y), text_anchor=anchor, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes) -> Markup:
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), **attributes)


def path(points, **attributes) -> Markup:
    """A line through (x, y) points."""
    d = "M" + "L".join(f"{_text(float(x))},{_text(float(y))}" for x, y in points)
    return element("path", d=d, fill="none", **attributes)


MARKERS = {"base": "circle", "prompt": "square", "qlora": "diamond", "ike": "up", "mend": "down",
           "steering": "pentagon"}
_CORNERS = {
    "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "diamond": [(0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)],
    "up": [(0, -1.3), (1.25, 1), (-1.25, 1)],
    "down": [(0, 1.3), (1.25, -1), (-1.25, -1)],
    "pentagon": [(math.sin(k * 2 * math.pi / 5) * 1.3, -math.cos(k * 2 * math.pi / 5) * 1.3) for k in range(5)],
}


def marker(method: str, x: float, y: float, size: float = 4.2) -> Markup:
    """A method's mark: shape as well as colour tells them apart."""
    corners = _CORNERS.get(MARKERS.get(method, "circle"))
    if corners is None:
        return element("circle", cx=float(x), cy=float(y), r=size, fill="currentColor")
    points = " ".join(f"{_text(float(x + size * dx))},{_text(float(y + size * dy))}" for dx, dy in corners)
    return element("polygon", points=points, fill="currentColor")


@dataclass(frozen=True)
class Scale:
    """Maps low..high to start..end, linearly or by logarithm; values outside land on the edge."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(at)
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def ticks(self, count: int = 5) -> list[float]:
        if self.log:
            return self._log_ticks()
        step = 10 ** math.floor(math.log10((self.high - self.low) / count))
        step = next(step * k for k in (1, 2, 5, 10) if (self.high - self.low) / (step * k) <= count * 1.05)
        first = math.ceil(self.low / step - 1e-9)
        return [round(k * step, 12) for k in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _log_ticks(self) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        parts = (1,) if last - first > 3 else (1, 2, 5)
        marks = [float(f"{part}e{power}") for power in range(first, last + 1) for part in parts]
        return [mark for mark in marks if self.low * 0.999 <= mark <= self.high * 1.001]


def log_scale(values, start: float, end: float) -> Scale:
    """A logarithmic scale that holds all positive values, at least a decade wide."""
    positive = [v for v in values if v and v > 0]
    low, high = min(positive) / 1.3, max(positive) * 1.3
    if high / low < 10:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(10), middle * math.sqrt(10)
    return Scale(low, high, start, end, log=True)
