"""The kill switch, thrown while requests come: every worker of the host stops the arms within a second."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cli.test_experiment import DRAFT
from tests.service.conftest import write_tenant
from tests.service.processes import serving

from recsys.control import experiments
from recsys.control.plane import ControlPlane


@pytest.mark.slow
def test_every_worker_stops_the_arms_within_a_second(tmp_path: Path) -> None:
    write_tenant(tmp_path)
    plane = ControlPlane.open(tmp_path / "control")
    experiments.create_experiment(plane, "demo", DRAFT | {"id": "e"}, author="test")
    experiments.start_experiment(plane, "demo", "e", now=datetime.now(UTC), author="test")
    body = {"surface": "home", "segment": "default", "k": 1, "user": {"user_id": "u"}}
    with serving(tmp_path, "--dev", "--workers", "2") as server:

        def is_in_arm() -> bool:  # each asks by a new connection, which any worker may take
            status, listed = server.ask("POST", "/v1/recommend", body)
            assert status == 200
            return "experiment" in listed["meta"]

        for is_on in (True, False):
            assert all(is_in_arm() == is_on for _ in range(10))
            experiments.set_kill_switch(plane, "demo", "e", on=is_on, author="test")
            changed = last = time.monotonic()
            while time.monotonic() - changed < 2.0:
                sent = time.monotonic()
                if is_in_arm() == is_on:
                    last = sent
            assert last - changed < 1.0
    plane.close()
