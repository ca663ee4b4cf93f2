"""Version history and rollback against a plain list."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.contracts.documents import version_of
from recsys.control.plane import ControlPlane
from recsys.control.store import NotFoundError

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 4)),
        st.tuples(st.just("back"), st.just(0)),
        st.tuples(st.just("to"), st.integers(1, 4)),
    ),
    max_size=15,
)


def document(number: int) -> bytes:
    """Return a config; 0 is what is built in."""
    return b"{}" if number == 0 else b'{"defaults":{"brand_cap":%d}}' % number


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_rollback_undoes_puts_as_a_list_of_parents_does(steps: list[tuple[str, int]]) -> None:
    history: list[tuple[int, int | None]] = []  # (content, index of the parent)
    current: int | None = None
    changes = 1
    with tempfile.TemporaryDirectory() as folder:
        plane = ControlPlane.open(Path(folder) / "control")
        plane.create_tenant("demo", actor="t")
        for action, number in steps:
            before = current
            if action == "put":
                if current is None or history[current][0] != number:
                    history.append((number, current))
                    current = len(history) - 1
                plane.put("demo", "config", document(number), author="t")
            else:
                if action == "back":
                    target = None if current is None else history[current][1]
                    if target is None and current is not None and history[current][0] != 0:
                        target = len(history)
                        history.append((0, None))
                else:
                    found = [index for index, (content, _) in enumerate(history) if content == number]
                    target = found[-1] if found else None
                try:
                    plane.roll_back(
                        "demo",
                        "config",
                        author="t",
                        to=version_of(document(number)) if action == "to" else None,
                    )
                except NotFoundError:
                    assert target is None
                else:
                    assert target is not None
                    current = target
            changes += before != current
            if current is not None:
                assert plane.document("demo", "config").data == document(history[current][0])
        expected = [version_of(document(content)) for content, _ in reversed(history)]
        assert [revision.version for revision in plane.history("demo", "config")] == expected
        assert plane.generation() == plane.verify().audit_entries == changes
        plane.close()
