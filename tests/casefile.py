"""Case files: tests that one can read aloud, in tests/cases/KIND/*.test.

    # comments before the first case
    === title of a case
    its text
    --- NAME
    a section of it, such as the files that it includes

Blank lines at the end of a text or section belong to the layout, not to the case.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

CASES = Path(__file__).parent / "cases"


@dataclass
class Case:
    """One case; `text` and `sections` may be changed and written back."""

    file: Path
    title: str
    text: str
    sections: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.file.stem}: {self.title}"


def cases(kind: str) -> list[Case]:
    """All cases of tests/cases/KIND, in the order of the files."""
    found = [case for path in sorted((CASES / kind).glob("*.test")) for case in read_cases(path)[1]]
    titles = [str(case) for case in found]
    assert len(titles) == len(set(titles)), "two cases of one file have the same title"
    return found


def read_cases(path: Path) -> tuple[str, list[Case]]:
    """The opening comment of a case file, and its cases."""
    opening, *rest = ("\n" + path.read_text()).split("\n=== ")
    read = []
    for part in rest:
        title, _, body = part.partition("\n")
        text, *sections = ("\n" + body).split("\n--- ")
        case = Case(path, title, _trimmed(text))
        for section in sections:
            name, _, content = section.partition("\n")
            case.sections[name] = _trimmed(content)
        read.append(case)
    return opening.removeprefix("\n"), read


def update_case(case: Case) -> None:
    """Write CASE back into its file. Not safe beside other writers: run with -n0."""
    opening, others = read_cases(case.file)
    parts = [opening.rstrip("\n") + "\n"] if opening.strip() else []
    for other in others:
        written = case if other.title == case.title else other
        sections = "".join(f"--- {name}\n{text}" for name, text in written.sections.items())
        parts.append(f"=== {written.title}\n{written.text}{sections}")
    case.file.write_text("\n".join(parts))


def _trimmed(text: str) -> str:
    """TEXT without blank lines around it, ending in a newline unless empty."""
    lines = text.split("\n")
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        lines.pop()
    return "".join(f"{line}\n" for line in lines)
