"""The report's charts as inline SVG; colours come from the page's style, so they follow light and dark."""
import pandas as pd
from markupsafe import Markup

from traitlab.report.numbers import number
from traitlab.report.results import method_name
from traitlab.report.svg import Scale, element, line, log_scale, marker, path, picture, text

WIDTH = 952  # the text column of the page
_LEFT = 150  # room for the row labels


def intervals(estimates: dict, label: str, axis: str, style: str, log: bool = False, reference=None) -> Markup:
    """Points with 95% intervals, a band per trait and a mark per method.

    Args:
        estimates: {row label: {method: {"value", "low", "high"}}}.
        reference: (value, words) of a dashed line.
    """
    methods = list(dict.fromkeys(m for row in estimates.values() for m in row))
    pitch, top = 15, 52
    band = max(26, pitch * len(methods) + 12)
    height = top + band * len(estimates) + 46
    bottom = top + band * len(estimates)
    values = [e.get(k) for row in estimates.values() for e in row.values() for k in ("value", "low", "high")]
    if log:
        scale = log_scale([*values, *([reference[0]] if reference else [])], _LEFT, WIDTH - 20)
    else:
        scale = Scale(0.0, max(1.0, *(v for v in values if v is not None)), _LEFT, WIDTH - 20)
    parts = [_legend(methods, _LEFT)]
    for tick in scale.ticks(10):
        x = scale(tick)
        parts += [line(x, top, x, bottom, class_="grid"),
                  text(x, bottom + 17, number(tick, "tick") if log else f"{tick:g}", "middle", class_="tick")]
    parts.append(text((_LEFT + WIDTH - 20) / 2, bottom + 37, axis, "middle", class_="axis-name"))
    if reference:
        x = scale(reference[0])
        late = x > WIDTH * 0.7
        parts += [line(x, top - 12, x, bottom, class_="reference"),
                  text(x + (-5 if late else 5), top - 7, reference[1], "end" if late else "start", class_="tick")]
    for i, (row, by_method) in enumerate(estimates.items()):
        y = top + band * i
        _named_band(parts, i, y, band, row)
        for k, method in enumerate(methods):
            if method in by_method:
                at = y + band / 2 + (k - (len(methods) - 1) / 2) * pitch
                parts.append(_interval(method, by_method[method], at, scale, style, row))
    return picture(WIDTH, height, label, *parts)


def _named_band(parts: list, number: int, y: float, height: float, name: str) -> None:
    """Put a row's name beside it, and a band behind every other one."""
    if number % 2 == 0:
        parts.insert(0, element("rect", x=0, y=float(y), width=WIDTH, height=float(height), class_="band"))
    parts.append(text(_LEFT - 14, y + height / 2 + 4.5, name, "end", class_="row-name"))


def _interval(method, estimate, y, scale, style, row) -> Markup:
    low, high, value = (estimate.get(k) for k in ("low", "high", "value"))
    if value is None:
        return Markup("")
    low, high = value if low is None else low, value if high is None else high
    told = f"{row}, {method_name(method)}: {number(value, style)} ({number(low, style)} to {number(high, style)})"
    x1, x2 = scale(low), scale(high)
    return element("g", element("title", told), line(x1, y, x2, y, class_="whisker"),
                   line(x1, y - 3, x1, y + 3, class_="whisker"), line(x2, y - 3, x2, y + 3, class_="whisker"),
                   marker(method, scale(value), y), class_=f"m m-{_slug(method)}")


def _slug(method: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in method)


def _legend(methods, x: float) -> Markup:
    items = []
    for method in methods:
        name = method_name(method)
        items.append(element("g", marker(method, x + 6, 14), text(x + 17, 18.5, name, class_="legend"),
                             class_=f"m m-{_slug(method)}"))
        x += 34 + 7.2 * len(name)
    return Markup("").join(items)


def loss_curve(curve: pd.DataFrame, trait: str, span: tuple[float, float], validation: float | None = None) -> Markup:
    """Loss per answer token over the steps: each faint, their running mean strong, validation a dashed line.

    Args:
        span: lowest and highest loss of the axis, shared by all panels.
    """
    width, height, left, bottom = 300, 190, 36, 158
    x = Scale(0.0, float(max(curve.step.max(), 1)), left, width - 12)
    y = Scale(*span, bottom, 30)
    smooth = curve.loss.rolling(7, center=True, min_periods=1).mean()
    parts = [text(left, 17, trait, class_="panel-name")]
    parts += [Markup("").join([line(left, y(t), width - 12, y(t), class_="grid"),
                               text(left - 6, y(t) + 4, f"{t:g}", "end", class_="tick")]) for t in y.ticks(4)]
    parts += [text(x(t), bottom + 16, f"{t:g}", "middle", class_="tick") for t in x.ticks(4)]
    parts.append(text((left + width) / 2, bottom + 30, "step", "middle", class_="tick"))
    parts.append(path([(x(s), y(v)) for s, v in zip(curve.step, curve.loss)], class_="curve-raw"))
    parts.append(path([(x(s), y(v)) for s, v in zip(curve.step, smooth)], class_="curve"))
    if validation is not None:
        parts += [line(left, y(validation), width - 12, y(validation), class_="reference"),
                  text(width - 12, y(validation) - 5, f"validation {validation:.2f}", "end", class_="tick")]
    label = (f"Training loss of the {trait} adapter: {curve.loss.iloc[0]:.2f} at the first step, "
             f"{smooth.iloc[-1]:.2f} at the end.")
    return picture(width, height, label, *parts)


def reliability(bins: pd.DataFrame, label: str) -> Markup:
    """Stated confidence against the share that was right; the area of a dot is the share of the texts in its bin.

    Args:
        bins: columns confidence, accuracy, n.
    """
    size, left, bottom, top = 330, 46, 276, 14
    x, y = Scale(0.0, 1.0, left, size - 14), Scale(0.0, 1.0, bottom, top)
    parts = []
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        parts += [line(left, y(tick), size - 14, y(tick), class_="grid"),
                  line(x(tick), top, x(tick), bottom, class_="grid"),
                  text(left - 7, y(tick) + 4, f"{tick:g}", "end", class_="tick"),
                  text(x(tick), bottom + 17, f"{tick:g}", "middle", class_="tick")]
    parts.append(line(x(0), y(0), x(1), y(1), class_="reference"))
    rows = bins[bins.n > 0].sort_values("confidence")
    parts.append(path([(x(r.confidence), y(r.accuracy)) for r in rows.itertuples()], class_="curve-raw"))
    for r in rows.itertuples():
        told = f"stated {r.confidence:.2f}, right {r.accuracy:.2f}, {r.n:.0f} texts"
        radius = max(2.0, 11 * float(r.n / rows.n.sum()) ** 0.5)
        parts.append(element("circle", element("title", told), cx=x(r.confidence), cy=y(r.accuracy), r=radius,
                             class_="dot"))
    parts += [text((left + size - 14) / 2, bottom + 37, "probability that the classifier states", "middle",
                   class_="axis-name"),
              element("text", "share that was right", text_anchor="middle", class_="axis-name",
                      transform=f"translate(12 {(top + bottom) / 2:g}) rotate(-90)")]
    return picture(size, bottom + 46, label, *parts)


def strips(table: pd.DataFrame, label: str, axis: str) -> Markup:
    """A heat strip per row (module), a cell per column (layer); the key gives the ends of the colour scale."""
    low, high = float(table.min().min()), float(table.max().max())
    left, top, cell_height = 110, 8, 24
    pitch = (WIDTH - left - 10) / table.shape[1]
    bottom = top + cell_height * len(table)
    parts = []
    for i, (row, values) in enumerate(table.iterrows()):
        parts.append(text(left - 10, top + cell_height * (i + 0.5) + 4, row, "end", class_="row-name mono"))
        for j, (column, value) in enumerate(values.items()):
            if pd.notna(value):
                share = (value - low) / (high - low) if high > low else 0.5
                parts.append(element("rect", element("title", f"layer {column}, {row}: {value:.4f}"),
                                     x=float(left + pitch * j), y=float(top + cell_height * i),
                                     width=float(pitch - 1),
                                     height=float(cell_height - 2), class_="heat",
                                     fill_opacity=0.08 + 0.92 * float(share)))
    step = 5 if table.shape[1] > 12 else 1
    parts += [text(left + pitch * (j + 0.5), bottom + 14, column, "middle", class_="tick")
              for j, column in enumerate(table.columns) if j % step == 0]
    parts.append(text(left, bottom + 40, axis, class_="axis-name"))
    key = WIDTH - 260
    parts.append(text(key - 8, bottom + 40, f"{low:.3f}", "end", class_="tick"))
    parts += [element("rect", x=float(key + 16 * k), y=float(bottom + 29), width=16.0, height=12.0, class_="heat",
                      fill_opacity=0.08 + 0.92 * k / 11) for k in range(12)]
    parts.append(text(key + 16 * 12 + 8, bottom + 40, f"{high:.3f}", class_="tick"))
    return picture(WIDTH, bottom + 50, label, *parts)


def bars(values: dict[str, float], label: str, words) -> Markup:
    """Horizontal bars from zero, each with its value in words."""
    largest, left, pitch = max(values.values()), 110, 32
    parts = []
    for i, (name, value) in enumerate(values.items()):
        length = (WIDTH - left - 110) * value / largest
        parts += [text(left - 10, pitch * i + 21, name, "end", class_="row-name"),
                  element("rect", x=float(left), y=float(pitch * i + 5), width=float(length), height=22.0, rx=3,
                          class_="bar"),
                  text(left + length + 8, pitch * i + 21, words(value), class_="legend")]
    return picture(WIDTH, pitch * len(values) + 6, label, *parts)


SERIES = ("qlora", "prompt", "ike", "mend")  # whose marks and colours series without a method of their own borrow


def effects(rows: dict[str, dict[str, dict]], label: str, axis: str, digits: str = ".2f") -> Markup:
    """Signed estimates with 95% intervals around zero, a band per row and a mark per series, at most four of them.

    Args:
        rows: {row label: {series: {"value", "low", "high"}}}; with "others" (values) drawn as faint dots beside it.
    """
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    pitch, top = 16, 44
    band = pitch * len(series) + 12
    bottom = top + band * len(rows)
    values = [v for row in rows.values() for e in row.values()
              for v in (e.get("value"), e.get("low"), e.get("high"), *e.get("others", ())) if v is not None]
    low, high = min(0.0, *values), max(0.0, *values)
    margin = 0.04 * (high - low or 1.0)
    scale = Scale(low - margin, high + margin, _LEFT, WIDTH - 20)
    parts = []
    for tick in scale.ticks(8):
        parts += [line(scale(tick), top, scale(tick), bottom, class_="grid"),
                  text(scale(tick), bottom + 17, f"{tick:g}", "middle", class_="tick")]
    parts += [line(scale(0), top - 8, scale(0), bottom, class_="reference"),
              text((_LEFT + WIDTH - 20) / 2, bottom + 37, axis, "middle", class_="axis-name")]
    x = _LEFT
    for name, style in zip(series, SERIES):
        parts.append(element("g", marker(style, x + 6, 14), text(x + 17, 18.5, name, class_="legend"),
                             class_=f"m m-{style}"))
        x += 34 + 7.2 * len(name)
    for i, (row, by_series) in enumerate(rows.items()):
        y = top + band * i
        _named_band(parts, i, y, band, row)
        for k, name in enumerate(series):
            estimate = by_series.get(name)
            if not estimate or estimate["value"] is None:
                continue
            at = y + band / 2 + (k - (len(series) - 1) / 2) * pitch
            parts += [element("circle", cx=float(scale(v)), cy=float(at), r=2.6, class_="other")
                      for v in estimate.get("others", ())]
            told = f"{row}, {name}: {estimate['value']:{digits}} ({estimate['low']:{digits}} to " \
                   f"{estimate['high']:{digits}})"
            x1, x2 = scale(estimate["low"]), scale(estimate["high"])
            parts.append(element("g", element("title", told), line(x1, at, x2, at, class_="whisker"),
                                 marker(SERIES[k], scale(estimate["value"]), at), class_=f"m m-{SERIES[k]}"))
    return picture(WIDTH, bottom + 46, label, *parts)


def layer_curves(curves: dict[str, list[float]], name: str, span: tuple[float, float], label: str) -> Markup:
    """A probability by layer on a logarithmic scale, a curve for each model, as a small panel.

    Args:
        curves: {"base" or "qlora" with " control" behind it or not: a value for each layer}; controls are dashed.
        span: lowest and highest value of the axis, shared by all panels.
    """
    width, height, left, bottom = 312, 200, 60, 158
    layers = max(map(len, curves.values()))
    x, y = Scale(1.0, float(max(2, layers)), left, width - 12), log_scale(span, bottom, 34)
    parts = [text(left, 17, name, class_="panel-name")]
    ticks = y.ticks()
    for tick in ticks[:: -(-len(ticks) // 5)]:
        parts += [line(left, y(tick), width - 12, y(tick), class_="grid"),
                  text(left - 6, y(tick) + 4, number(tick, "tick"), "end", class_="tick")]
    parts += [text(x(t), bottom + 16, f"{t:g}", "middle", class_="tick") for t in x.ticks(4)]
    parts.append(text((left + width) / 2, bottom + 31, "after layer", "middle", class_="tick"))
    for key, values in curves.items():
        model, _, control = key.partition(" ")
        drawn = path([(x(k + 1.0), y(v)) for k, v in enumerate(values)], stroke="currentColor",
                     stroke_width=1.2 if control else 2.2, stroke_dasharray="3 3" if control else None)
        parts.append(element("g", drawn, class_=f"m m-{model}"))
    return picture(width, height, label, *parts)


def emoji_shares(shares: dict[str, tuple[float, float]], name: str, label: str) -> Markup:
    """The most frequent emoji of a method, each a bar of its share; a line shows the base model's share of it."""
    width, left, pitch, top = 430, 44, 28, 30
    largest = max(max(pair) for pair in shares.values())
    scale = Scale(0.0, largest, left, width - 52)
    parts = [text(0, 16, name, class_="panel-name")]
    for i, (emoji, (share, base)) in enumerate(shares.items()):
        y = top + pitch * i
        told = f"{100 * share:.0f}% of its emoji; base {100 * base:.0f}%"
        parts += [text(left - 10, y + 20, emoji, "end", class_="glyph"),
                  element("rect", element("title", told), x=float(left), y=float(y + 5), width=scale(share) - left,
                          height=18.0, rx=3, class_="bar"),
                  line(scale(base), y + 2, scale(base), y + 26, class_="mark"),
                  text(scale(max(share, base)) + 7, y + 19, f"{100 * share:.0f}%", class_="tick")]
    return picture(width, top + pitch * len(shares) + 6, label, *parts)


def thirds(rows: dict[str, dict[str, float]], label: str) -> Markup:
    """Where the emoji of each row stand: shares of start, middle and end of the answers, as one divided bar."""
    left, pitch, top = _LEFT, 30, 30
    scale = Scale(0.0, 1.0, left, WIDTH - 20)
    opacity = {"start": 0.3, "middle": 0.6, "end": 1.0}
    parts = []
    x = left
    for part, strength in opacity.items():
        parts += [element("rect", x=float(x), y=6.0, width=14.0, height=12.0, class_="bar", fill_opacity=strength),
                  text(x + 20, 16.5, part, class_="legend")]
        x += 90
    for i, (name, shares) in enumerate(rows.items()):
        y, at = top + pitch * i, 0.0
        parts.append(text(left - 14, y + 17, name, "end", class_="row-name"))
        for part, strength in opacity.items():
            share = shares[part]
            if share > 0:
                parts.append(element("rect", element("title", f"{name}, {part}: {100 * share:.0f}%"),
                                     x=float(scale(at)), y=float(y + 3), width=scale(at + share) - scale(at),
                                     height=20.0, class_="bar", fill_opacity=strength))
            at = min(1.0, at + share)
    return picture(WIDTH, top + pitch * len(rows) + 6, label, *parts)
