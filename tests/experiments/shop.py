"""A shop whose truth is known: items of known appeal, and visitors who click by a position-based model.

A visitor looks at rank r with probability ``r ** -0.7`` and clicks what is looked at by the item's appeal
times the visitor's own eagerness, which is 0.5 or 1.5 by an even chance. So the value of every list is exact.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.service.processes import serving

from recsys import _native
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import open_registry
from recsys.client.http_client import Client
from recsys.contracts.http import (
    Anchors,
    Candidates,
    ExperimentArm,
    ListResponse,
    Options,
    RecommendRequest,
    User,
)
from recsys.contracts.records import Outcome
from recsys.control.plane import ControlPlane

ITEMS = [f"i{number:02}" for number in range(12)]
APPEAL = {item: 0.04 + 0.04 * number for number, item in enumerate(ITEMS)}
"""The last item is the best, and popularity has the first one first."""
ANCHOR = "anchor"
EAGERNESS = (0.5, 1.5)
K = 4


def look(rank: int) -> float:
    """The probability that a visitor looks at a rank."""
    return rank**-0.7


def click_chance(items: Sequence[str], eagerness: float) -> float:
    """The probability of at least one click on a list."""
    return 1.0 - math.prod(1.0 - look(r) * APPEAL[item] * eagerness for r, item in enumerate(items, 1))


def true_ctr(items: Sequence[str]) -> float:
    """The share of requests with a click that a list has over all visitors."""
    return sum(click_chance(items, eagerness) for eagerness in EAGERNESS) / len(EAGERNESS)


def true_clicks(items: Sequence[str]) -> float:
    """The expected clicks on a list, over all visitors."""
    return sum(look(rank) * APPEAL[item] for rank, item in enumerate(items, 1))


def build_shop(folder: Path, config: dict[str, object] | None = None) -> None:
    """Publish a surface on which popularity shows poor items, and co-visitation of the anchor good ones."""
    _native.build_catalog(str(folder / "catalog"), [*ITEMS, ANCHOR], available=[True] * 12 + [False])
    catalog = _native.Catalog.open(str(folder / "catalog"))
    popularity = _native.SignalPacker(catalog, kind="popularity", key_type="segment")
    popularity.push("default", ITEMS, [3.0 - 0.2 * number for number in range(12)])
    popularity.finish(str(folder / "popularity"))
    cooc = _native.SignalPacker(catalog, kind="cooc", key_type="item")
    cooc.push(ANCHOR, ITEMS[::-1], [3.0 - 0.2 * number for number in range(12)])
    cooc.finish(str(folder / "cooc"))
    plane = ControlPlane.open(folder / "control")
    # With a salt of its own each run would have other users in each arm, and be another experiment.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("recsys.control.tenants.secrets.token_bytes", lambda size: b"s" * size)
        plane.create_tenant("demo", actor="test")
    defaults = {"mode": "popularity", "normalizer": "none"} | (config or {})
    plane.put("demo", "config", json.dumps({"defaults": defaults}).encode(), author="test")
    plane.close()
    files = {kind: folder / kind for kind in ("catalog", "popularity", "cooc")}
    publish_release(open_registry(folder / "registry"), "demo", "home", files)


@contextmanager
def open_shop(folder: Path, workers: int = 1) -> Iterator[Shop]:
    """Serve the shop until the block ends."""
    with serving(folder, "--dev", "--workers", str(workers)) as server, Client(server.url) as client:
        yield Shop(folder, client)


class Shop:
    """The service with its visitors; what they do depends on their names alone."""

    def __init__(self, folder: Path, client: Client) -> None:
        self.folder = folder
        self.client = client
        self._pending: list[Outcome] = []

    def ask(self, user: str, visit: int = 0, **fields: object) -> ListResponse:
        """Ask for a list as a visitor does."""
        request = RecommendRequest(
            surface="home",
            segment="default",
            user=User(user_id=user),
            anchors=Anchors([ANCHOR]),
            **({"k": K} | fields),
        )
        return self.client.recommend(request, request_id=f"{user}-{visit}")

    def visit(self, user: str, visit: int, **fields: object) -> ListResponse:
        """Ask for a list and click; clicks are sent a hundred at a time."""
        listed = self.ask(user, visit, **fields)
        chance = random.Random(f"{user}-{visit}")
        eagerness = EAGERNESS[random.Random(user).random() < 0.5]
        for item in listed.items:
            if chance.random() < look(item.rank) * APPEAL[item.item_id] * eagerness:
                now = datetime.now(UTC)
                self._pending.append(Outcome(listed.meta.request_id, user, item.item_id, "click", now))
        if len(self._pending) >= 100:
            self.send()
        return listed

    def send(self) -> None:
        """Send the clicks that were not sent yet."""
        done = self.client.send_events(self._pending)
        assert (done.accepted, done.rejected) == (len(self._pending), [])
        self._pending.clear()

    def ranking(self, user: str, variant: str, k: int, items: Sequence[str]) -> ListResponse:
        """Return how an arm ranks for a visitor who is not there: for comparison, of its own request id."""
        return self.ask(
            user,
            -1,
            k=k,
            candidates=Candidates(include_ids=list(items)),
            experiment=ExperimentArm("e", variant),
            options=Options(seed=0),
        )

    @property
    def logs(self) -> dict[str, list[str]]:
        """The logs, by role."""
        return {role: [str(self.folder / "logs" / role)] for role in ("exposures", "outcomes", "assignments")}

    def start(self, arms: list[dict], **fields: object) -> None:
        """Start experiment ``e``, and wait until it is served."""
        from recsys.control import experiments

        value = {
            "id": "e",
            "surface": "home",
            "arms": arms,
            "primary_metric": {"name": "ctr"},
            "guardrails": [{"metric": "empty_list_rate", "margin": 0.01}],
            "rollback": {"to": "current"},
        }
        plane = ControlPlane.open(self.folder / "control")
        experiments.create_experiment(plane, "demo", value | fields, author="test")
        experiments.start_experiment(plane, "demo", "e", now=datetime.now(UTC), author="test")
        plane.close()
        for _ in range(2000):
            if self.ask("nobody", -2).meta.experiment is not None:
                return
        raise AssertionError("the experiment is not served")
