# SPDX-License-Identifier: Apache-2.0
"""Links of a page, in Markdown as GitHub shows it.

Code, in blocks and in lines, holds no links. A link's target is relative to the page's file.
"""

import posixpath
import re
from collections.abc import Callable, Iterator

CODE = re.compile(r"^ *(```+|~~~+).*?^ *\1|`[^`\n]+`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
OUTSIDE = re.compile(r"[a-z][a-z+.-]*:")
HEADING = re.compile(r"^#+ +(.+?) *#*$", re.MULTILINE)


def targets(markdown: str) -> Iterator[str]:
    """The targets of all links that stay within the repository."""
    found: list[str] = []
    replaced(markdown, lambda target: (found.append(target), target)[1])
    return iter(found)


def replaced(markdown: str, new: Callable[[str], str]) -> str:
    """The page with other targets of its links; those that lead to other sites are left alone."""

    def change(match: re.Match[str]) -> str:
        target = match[0]
        return target if OUTSIDE.match(target) else new(target)

    parts, end = [], 0
    for code in CODE.finditer(markdown):
        parts += [LINK.sub(change, markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, LINK.sub(change, markdown[end:])])


def resolved(target: str, page: str) -> tuple[str, str]:
    """The file that a link leads to and the anchor in it, "" for none.

    Args:
        target: Of the link.
        page: The page's path in the repository, such as docs/using.md.
    """
    path, _, anchor = target.partition("#")
    folder = posixpath.dirname(page)
    return posixpath.normpath(posixpath.join(folder, path)) if path else page, anchor


def anchors(markdown: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^ *(```+|~~~+).*?^ *\1", "", markdown, flags=re.DOTALL | re.MULTILINE)
    found: set[str] = set()
    for heading in HEADING.findall(text):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = next(
            n for n in range(len(found) + 1) if (f"{slug}-{n}" if n else slug) not in found
        )
        found.add(f"{slug}-{number}" if number else slug)
    return found
