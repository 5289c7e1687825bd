"""Text that scripts write into a page, between `<!-- made: keys -->` and `<!-- end: keys -->`."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]


def inserted(page: str, name: str, text: str) -> str:
    """The page with `text` in its place. ValueError where the page has no such place."""
    begin, end = f"<!-- made: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(rf"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(page)) != 1:
        raise ValueError(f"the page needs {begin} and {end}, once, on lines of their own")
    return pattern.sub(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", page)


def rewrite(path: Path, name: str, text: str) -> bool:
    """Put `text` into its place in a file; whether that changed anything."""
    old = path.read_text(encoding="utf-8")
    new = inserted(old, name, text)
    if new != old:
        path.write_text(new, encoding="utf-8")
    return new != old
