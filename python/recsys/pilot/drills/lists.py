"""Drills on what is listed: nothing ready yet, a rule that hides everything, data that hides everything."""

from __future__ import annotations

import json

from recsys.pilot.drills.scratch import N_ITEMS, SURFACE, TENANT
from recsys.pilot.drills.stage import Stage, list_of
from recsys.pilot.service_process import ServiceProcess


def not_ready(stage: Stage) -> None:
    """Start a service that has nothing to serve; load rows, as the first day of a pilot does."""
    catalog = stage.scratch.folder / "items.csv"
    daily = stage.scratch.folder / "daily.csv"
    catalog.write_text("item_id\n" + "".join(f"i{number}\n" for number in range(20)))
    daily.write_text(
        "surface,day,item_id,count\n"
        + "".join(f"{SURFACE},2026-01-01,i{number},{20 - number}\n" for number in range(20))
    )
    started: list[ServiceProcess] = []
    stage.inject("nothing is published", lambda: started.append(stage.serve_without_development()))
    service = started[0]
    stage.detect("/readyz answers 503", lambda: service.get("/readyz").status == 503)

    def load() -> None:
        for kind, path in (("catalog", catalog), ("popularity", daily)):
            stage.command(
                "signals", "load", kind, str(path), "--tenant", TENANT, "--data-dir", str(stage.data_dir)
            )

    stage.recover(load, lambda: service.get("/readyz").status == 200)


def empty_lists_rule(stage: Stage) -> None:
    """Block everything by one rule; roll the rules back."""
    stage.scratch.publish()
    service = stage.serve()
    rules = stage.scratch.folder / "rules.json"
    harmless = {"rule_id": "one", "action": "BLOCK", "target_type": "ITEM", "target_key": "item-199"}
    rules.write_text(json.dumps([harmless]))
    put = ("rules", "put", str(rules), "--tenant", TENANT, "--data-dir", str(stage.data_dir))
    stage.command(*put)
    rules.write_text(
        json.dumps([{"rule_id": "all", "action": "BLOCK", "target_type": "TAG", "target_key": "all"}])
    )
    stage.inject("a rule blocks every item", lambda: stage.command(*put))
    stage.detect("recsys_lists_total{kind=empty} grows", lambda: _has_empty_lists(service))
    stage.recover(
        lambda: stage.command("rules", "rollback", "--tenant", TENANT, "--data-dir", str(stage.data_dir)),
        lambda: len(list_of(service)) == 10,
    )


def empty_lists_data(stage: Stage) -> None:
    """Publish a catalog in which nothing is available; roll the release back."""
    stage.scratch.publish()
    service = stage.serve()
    stage.inject(
        f"a release has none of {N_ITEMS} items available",
        lambda: stage.scratch.publish(generation=2, is_available=False),
    )
    stage.detect("recsys_lists_total{kind=empty} grows", lambda: _has_empty_lists(service))
    stage.recover(
        lambda: stage.command(
            *("manifest", "rollback", "--tenant", TENANT, "--surface", SURFACE),
            *("--data-dir", str(stage.data_dir)),
        ),
        lambda: len(list_of(service)) == 10,
    )


def _has_empty_lists(service: ServiceProcess) -> bool:
    list_of(service)
    return service.metric("recsys_lists_total", kind="empty", tenant=TENANT) > 0
