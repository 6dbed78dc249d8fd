"""A mkdocs hook: the decisions, which nobody has to list.

They go into the navigation in the order of their numbers, and a line `{{ decisions }}` on a page
becomes a list of them.
"""

from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "decisions"
INDEX = "decisions/index.md"


def titles() -> dict[str, str]:
    """Return the title of each decision by its file's name.

    Examples
    --------
    >>> titles()["0001-environments-inside-the-clone.md"]
    '1. The environments live inside the clone'
    """
    return {
        path.name: path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        for path in sorted(FOLDER.glob("[0-9]*.md"))
    }


def on_config(config: Any) -> Any:
    """Put the decisions into the navigation, after their index."""
    for section in config["nav"]:
        for pages in section.values():
            if isinstance(pages, list) and INDEX in pages:
                place = pages.index(INDEX)
                pages[place : place + 1] = [
                    {"Decisions": [INDEX, *(f"decisions/{name}" for name in titles())]}
                ]
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the list where a page asks for it."""
    # The titles have numbers of their own.
    listed = "\n".join(f"- [{title}]({name})" for name, title in titles().items())
    return markdown.replace("{{ decisions }}", listed)
