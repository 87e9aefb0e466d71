"""Charts of the data set: how long its answers are, and how even its facets."""
from markupsafe import Markup

from traitlab.report.charts import WIDTH
from traitlab.report.svg import Scale, element, line, path, picture, text


def lengths(histograms: dict[str, list[list[int]]], label: str) -> Markup:
    """An outline per register of the share of its answers over their number of words.

    Args:
        histograms: register -> [words, rows] in order of words.
    """
    shares = {register: {n: rows / sum(r for _, r in counts) for n, rows in counts}
              for register, counts in histograms.items()}
    most = max(n for register in shares.values() for n in register)
    top = max(share for register in shares.values() for share in register.values())
    left, bottom, pitch = 110, 100, 108
    x = Scale(0.0, float(most + 2), left, WIDTH - 20)
    parts = []
    for i, (register, counts) in enumerate(shares.items()):
        y = Scale(0.0, top, bottom + pitch * i, bottom + pitch * i - 84)
        parts.append(text(left - 10, y(0) - 8, register, "end", class_="row-name"))
        parts.append(line(left, y(0), WIDTH - 20, y(0), class_="grid"))
        outline = [(x(n + side), y(counts.get(n, 0.0))) for n in range(min(counts) - 1, max(counts) + 2)
                   for side in (-0.5, 0.5)]
        parts.append(path(outline, class_="curve"))
        middle = max(counts, key=lambda n: (counts[n], -n))
        parts.append(text(x(middle), y(counts[middle]) - 4, f"{middle} words: {counts[middle]:.0%}", "middle",
                          class_="tick"))
    height = bottom + pitch * (len(shares) - 1)
    parts += [text(x(tick), height + 17, f"{tick:g}", "middle", class_="tick") for tick in x.ticks(10)]
    parts.append(text((left + WIDTH - 20) / 2, height + 37, "words of an answer", "middle", class_="axis-name"))
    return picture(WIDTH, height + 46, label, *parts)


def evenness(shares: dict[str, dict[str, float]], label: str) -> Markup:
    """A dot for every facet at its share of the trait's rows; the dashed line is an even share.

    Args:
        shares: trait -> facet -> share.
    """
    left, top, pitch = 150, 22, 34
    most = max(share for facets in shares.values() for share in facets.values())
    x = Scale(0.0, max(1.2 * most, 0.2), left, WIDTH - 20)
    bottom = top + pitch * len(shares)
    parts = []
    for tick in x.ticks(8):
        parts += [line(x(tick), top, x(tick), bottom, class_="grid"),
                  text(x(tick), bottom + 17, f"{tick:.0%}", "middle", class_="tick")]
    for i, (trait, facets) in enumerate(shares.items()):
        y = top + pitch * (i + 0.5)
        even = x(1 / len(facets))
        parts += [text(left - 14, y + 4.5, trait, "end", class_="row-name"),
                  line(even, y - pitch / 2, even, y + pitch / 2, class_="reference")]
        parts += [element("circle", element("title", f"{trait}, {facet}: {share:.1%}"), cx=x(share), cy=y, r=4.5,
                          class_="dot") for facet, share in facets.items()]
    parts.append(text((left + WIDTH - 20) / 2, bottom + 37, "share of the trait’s rows", "middle", class_="axis-name"))
    return picture(WIDTH, bottom + 46, label, *parts)
