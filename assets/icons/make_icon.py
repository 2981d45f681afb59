"""Writes mdsd3.svg and mdsd3-256.png from one list of shapes: python3 make_icon.py (needs Pillow)

A scene (two ridges) with the two degradations the studio mixes first: bars of haze in front of the ridges, and streaks
of rain in front of the haze, in the order in which the physical model applies them.
"""

import os

from PIL import Image, ImageDraw

SIZE = 256  # px, and the SVG's user units
SUPERSAMPLING = 4  # Pillow's shapes have hard edges; they are drawn larger and scaled down

BACKGROUND, FAR, NEAR = "#1c1f24", "#59626e", "#39414b"
HAZE, RAIN = "#d9dde2", "#4aa8ff"
CORNER = 52

# ("polygon", points, colour, opacity) or ("bar", (x0, y0), (x1, y1), width, colour, opacity)
SHAPES = [
    ("polygon", [(76, 216), (168, 62), (276, 216)], FAR, 1.0),
    ("polygon", [(-24, 216), (76, 104), (180, 216)], NEAR, 1.0),
    ("polygon", [(0, 214), (256, 214), (256, 256), (0, 256)], NEAR, 1.0),
    ("bar", (28, 150), (150, 150), 14, HAZE, 0.45),
    ("bar", (60, 180), (214, 180), 14, HAZE, 0.65),
    ("bar", (34, 210), (178, 210), 14, HAZE, 0.85),
    ("bar", (92, 40), (72, 92), 9, RAIN, 1.0),
    ("bar", (136, 70), (108, 142), 9, RAIN, 1.0),
    ("bar", (186, 34), (162, 96), 9, RAIN, 1.0),
    ("bar", (222, 78), (190, 160), 9, RAIN, 1.0),
]


def svg_shape(shape):
    if shape[0] == "polygon":
        _, points, colour, opacity = shape
        corners = " ".join(f"{x},{y}" for x, y in points)
        return f'<polygon points="{corners}" fill="{colour}" opacity="{opacity}"/>'
    _, (x0, y0), (x1, y1), width, colour, opacity = shape
    return (
        f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="{colour}" '
        f'stroke-width="{width}" stroke-linecap="round" opacity="{opacity}"/>'
    )


def svg():
    square = f'<rect width="{SIZE}" height="{SIZE}" rx="{CORNER}"'
    shapes = "\n    ".join(svg_shape(shape) for shape in SHAPES)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" width="{SIZE}" height="{SIZE}">
  <title>MDSD3 Studio</title>
  <clipPath id="square">{square}/></clipPath>
  <g clip-path="url(#square)">
    {square} fill="{BACKGROUND}"/>
    {shapes}
  </g>
</svg>
"""


def coverage(shape, scale):
    """Where a shape lies, as an 8-bit mask that carries its opacity."""
    mask = Image.new("L", (SIZE * scale, SIZE * scale))
    draw = ImageDraw.Draw(mask)
    value = round(255 * shape[-1])
    grow = lambda points: [(x * scale, y * scale) for x, y in points]
    if shape[0] == "polygon":
        draw.polygon(grow(shape[1]), fill=value)
        return mask
    (ends, radius) = grow(shape[1:3]), shape[3] * scale / 2
    draw.line(ends, fill=value, width=round(2 * radius))
    for x, y in ends:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=value)
    return mask


def png():
    scale = SUPERSAMPLING
    image = Image.new("RGB", (SIZE * scale, SIZE * scale), BACKGROUND)
    for shape in SHAPES:
        image.paste(Image.new("RGB", image.size, shape[-2]), mask=coverage(shape, scale))
    square = Image.new("L", image.size)
    ImageDraw.Draw(square).rounded_rectangle((0, 0, SIZE * scale - 1, SIZE * scale - 1), CORNER * scale, fill=255)
    image.putalpha(square)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "mdsd3.svg"), "w", encoding="utf-8") as file:
        file.write(svg())
    png().save(os.path.join(here, f"mdsd3-{SIZE}.png"), optimize=True)
