# SPDX-License-Identifier: Apache-2.0
"""Build the documentation as a site: ``python docs/make_site/make_site.py``, or ``make docs``.

The Markdown in docs/ is written for GitHub, and stays as it is. A copy of it goes to build/site,
with the pages that are made from the code. There, a link to a file of the repository, such as
../examples/own_task.py, leads to a page that shows the file. From this copy Zensical makes the site
in site/. Nothing is fetched, neither here nor by the pages.
"""

import posixpath
import re
import shutil
import subprocess
import sys
from pathlib import Path

import links
import pages
import yaml

ROOT = Path(__file__).parents[2]
WORK, SITE = ROOT / "build/site", ROOT / "site"
FILES = "files"  # the folder of the pages that show files of the repository
LANGUAGES = {".py": "python", ".xml": "xml", ".yaml": "yaml", ".json": "json"}
FILM = re.compile(r"\[!\[([^\]]*)\]\(([^)]+\.jpg)\)\]\(([^)]+\.mp4)\)")
ID = re.compile(r"(?:(?<=^\| )|(?<=\*\*))Motrix/\w+-v\d+(?= \||\*\*)", re.MULTILINE)
FETCHED = re.compile(r'<(?:script|link|img|iframe|video|source)[^>]+(?:src|href)="?(?:https?:)?//')
REPOSITORY = re.compile(r"docs/make_site/|.*\.py$")  # in docs/, but no part of the site


def main() -> None:
    """Write the copy, make the site, and check it."""
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.rmtree(SITE, ignore_errors=True)
    texts = sources()
    for source, text in texts.items():
        path = WORK / "pages" / place(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(prepared(text, source, texts))
    for path in (ROOT / "docs").rglob("*"):
        source = path.relative_to(ROOT).as_posix()
        if path.is_file() and path.suffix not in (".md", ".py", ".json"):
            target = WORK / "pages" / place(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    settings = yaml.safe_load(Path(__file__).with_name("site.yml").read_text())
    settings["nav"] = filled(settings["nav"], [place(source) for source in texts])
    (WORK / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False))
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    if status := subprocess.run(command, cwd=WORK).returncode:
        sys.exit(status)
    shutil.copytree(WORK / "site", SITE)
    check(SITE)
    print(f"{SITE / 'index.html'}")


def sources() -> dict[str, str]:
    """The text of every page, by its place in the repository, as if generated ones were in docs/.

    Files that pages link to are among them.
    """
    texts = {f"docs/{path}": text for path, text in pages.all_pages().items()}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        texts[path.relative_to(ROOT).as_posix()] = path.read_text()
    waiting = list(texts)
    while waiting:
        source = waiting.pop()
        for target in links.targets(texts[source]):
            path, _ = links.resolved(target, source)
            of_site = path.startswith("docs/") and not REPOSITORY.match(path)
            if path not in texts and not of_site and (ROOT / path).exists():
                texts[path] = shown(path)
                waiting.append(path)
    return texts


def shown(path: str) -> str:
    """A page that shows a file or a folder of the repository."""
    file, aside = ROOT / path, "---\nsearch:\n  exclude: true\n---\n\n"
    if file.suffix == ".md":
        return file.read_text()
    if file.is_dir():
        names = sorted(each.name for each in file.iterdir() if each.suffix in (".py", ".xml"))
        listed = "\n".join(f"- [{name}]({posixpath.basename(path)}/{name})" for name in names)
        return f"{aside}# {path}\n\n{listed}\n"
    fence = "`" * 4
    language = LANGUAGES.get(file.suffix, "text")
    return f"{aside}# {path}\n\n{fence}{language}\n{file.read_text().rstrip()}\n{fence}\n"


def place(source: str) -> str:
    """Where a file of the repository is in the copy."""
    if source.startswith("docs/") and not REPOSITORY.match(source):
        return source.removeprefix("docs/")
    return f"{FILES}/{source}" if source.endswith(".md") else f"{FILES}/{source}.md"


def prepared(text: str, source: str, texts: dict[str, str]) -> str:
    """A page with links to other places of the copy, and films in place of links to them.

    An id in bold, or first in a row of a table, leads to the environment's page.
    """
    folder = posixpath.dirname(place(source)) or "."

    def new(target: str) -> str:
        path, anchor = links.resolved(target, source)
        if target.startswith("#") or not (path in texts or path.startswith("docs/")):
            return target
        relative = posixpath.relpath(place(path), folder)
        return relative + (f"#{anchor}" if anchor else "")

    def of_environment(match: re.Match[str]) -> str:
        page = f"environments/{match[0].rpartition('/')[2]}.md"
        there = f"docs/{page}" in texts
        return f"[{match[0]}]({posixpath.relpath(page, folder)})" if there else match[0]

    return FILM.sub(film, ID.sub(of_environment, links.replaced(text, new)))


def film(match: re.Match[str]) -> str:
    """A film that plays without end, as assets/films.js starts it; before, its picture is shown."""
    name, picture, file = match.groups()
    return (
        f'<video src="{file}" poster="{picture}" width="320" height="240" aria-label="{name}" '
        "loop muted playsinline controls preload='none'></video>"
    )


def filled(nav: list, places: list[str]) -> list:
    """The navigation with its places filled in, and in the end the pages that it does not list.

    A place that ends with `/*` stands for all pages in that folder; environments are by family.
    """
    families = pages.groups()

    def fill(entries: list) -> list:
        found = []
        for entry in entries:
            if isinstance(entry, dict):
                ((title, inside),) = entry.items()
                found.append({title: fill(inside) if isinstance(inside, list) else inside})
            elif entry.endswith("/*"):
                inside = [path for path in places if path.startswith(entry.removesuffix("*"))]
                found += grouped(
                    [path for path in inside if not path.endswith("README.md")], families
                )
            else:
                found.append(entry)
        return found

    full = fill(nav)
    listed = set(leaves(full))
    more = [path for path in places if "/" not in path and path not in listed]
    return [*full, {"More": more}] if more else full


def grouped(paths: list[str], families: dict[str, str]) -> list:
    """Pages, under a heading where they have one."""
    found, sections = [], {}
    for path in paths:
        if path in families:
            section = sections.setdefault(families[path], [])
            section.append({Path(path).stem: path})
        else:
            found.append(path)
    return [*found, *({heading: inside} for heading, inside in sections.items())]


def leaves(nav: list) -> list[str]:
    """The pages that a navigation lists."""
    found = []
    for entry in nav:
        for inside in entry.values() if isinstance(entry, dict) else [entry]:
            found += leaves(inside) if isinstance(inside, list) else [inside]
    return found


def check(site: Path) -> None:
    """End the program if a page would fetch something from the network."""
    for path in site.rglob("*.html"):
        if found := FETCHED.search(path.read_text()):
            sys.exit(f"{path} fetches from the network: {found[0]}")


if __name__ == "__main__":
    main()
