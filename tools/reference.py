"""Write what pages say of the code: the blocks of docs/ that are made of it, and whole pages in build/docs.

    python tools/reference.py            (make reference)

A block stands in a page between two comments that name it:

    <!-- made of the code: errors -->
    …
    <!-- end -->

`tests/test_docs.py` compares them with what this would write.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import recserve.client.errors
import recserve.errors
from recserve.config.reference import hosted_settings, reference
from recserve.config.schema import schema as schema_of_service_file
from recserve.deploy.reference import api as operations_of_api
from recserve.deploy.reference import keys as keys_of_documents
from recserve.errors import RecserveError
from recserve.features.docs.reference import reference as reference_of_features
from recserve.features.docs.schema import schema as schema_of_fg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"(<!-- made of the code: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def errors(module: ModuleType, root: type[RecserveError]) -> str:
    """The tree of errors of a module, drawn, each with its meaning, and ours with the HTTP status."""
    drawn = list(_drawn(module, root))
    width = max(len(line) for line, _ in drawn) + 2
    lines = []
    for line, error in drawn:
        status = f"{error.status}  " if module is recserve.errors else ""
        lines.append(f"{line:<{width}}{status}{_sentence(error)}")
    return "\n".join(["```", *lines, "```"]) + "\n"


def _drawn(
    module: ModuleType, error: type[RecserveError], indent: str = ""
) -> Iterator[tuple[str, type[RecserveError]]]:
    """Lines of the tree, in the order of the file."""
    if not indent:
        yield error.__name__, error
    children = [child for child in error.__subclasses__() if child.__module__ == module.__name__]
    for place, child in enumerate(children):
        last = place == len(children) - 1
        yield f"{indent}{'└── ' if last else '├── '}{child.__name__}", child
        yield from _drawn(module, child, f"{indent}{'    ' if last else '│   '}")


def _sentence(error: type[RecserveError]) -> str:
    """The first paragraph of the docstring, in one line."""
    return " ".join((inspect.getdoc(error) or "").partition("\n\n")[0].split())


#: What pages show, by the name of the block.
BLOCKS: dict[str, Callable[[], str]] = {
    "settings": reference,
    "hosted-settings": hosted_settings,
    "deploy-keys": keys_of_documents,
    "deploy-api": operations_of_api,
    "errors": lambda: errors(recserve.errors, RecserveError),
    "client-errors": lambda: errors(recserve.client.errors, recserve.client.errors.ClientError),
}


def renewed(text: str) -> str:
    """A page with its blocks as they would be made now."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n{found[3]}", text)


def main() -> None:
    """Renew the blocks of all pages; write the pages and schemas that are too long for docs/."""
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text()
        if renewed(text) != text:
            page.write_text(renewed(text))
            print(page.relative_to(ROOT))
    build = ROOT / "build" / "docs"
    build.mkdir(parents=True, exist_ok=True)
    for name, content in {
        "feature_types.md": reference_of_features(),
        "fg.schema.json": json.dumps(schema_of_fg(), indent=2, ensure_ascii=False) + "\n",
        "service.schema.json": json.dumps(schema_of_service_file(), indent=2, ensure_ascii=False) + "\n",
    }.items():
        (build / name).write_text(content)
        print(f"build/docs/{name}")


if __name__ == "__main__":
    main()
