"""Two requests that work, for whoever has just started a service."""

from __future__ import annotations

import shlex

import msgspec

from recsys._native import Signal
from recsys.service.settings import DEFAULT_TENANT
from recsys.service.state import State
from recsys.service.tenants import ServedTenant


def example_requests(state: State, url: str) -> list[str]:
    """Return two curl lines: a recommendation, and what goes with a popular item; none without a surface."""
    served = [tenant for tenant in state.tenants.values() if tenant.snapshots]
    if not served:
        return []
    tenant = next((one for one in served if one.name == DEFAULT_TENANT), served[0])
    surface, item_id = _popular_item(tenant)
    header = "" if tenant.name == DEFAULT_TENANT else f" -H {shlex.quote(f'x-org-id: {tenant.name}')}"
    recommend = {"surface": surface, "user": {"user_id": "u1"}, "k": 5, "anchors": {"item_ids": [item_id]}}
    bodies = {"recommend": recommend, "similar": {"surface": surface, "item_id": item_id, "k": 5}}
    return [
        f"curl -s {url}/v1/{path} -H 'content-type: application/json'{header} -d '{_shell_json(body)}'"
        for path, body in bodies.items()
    ]


def _popular_item(tenant: ServedTenant) -> tuple[str, str]:
    """Return a surface and a popular item of it that has neighbours, else its first item."""
    surface, snapshot = next(iter(tenant.snapshots.items()))
    popularity, cooc = snapshot.signals.get("popularity"), snapshot.signals.get("cooc")
    if isinstance(popularity, Signal):
        for key in popularity.keys(0, 1):
            for item_id, _ in popularity.ranked(snapshot.catalog, key, 100) or []:
                if cooc is None or cooc.ranked(snapshot.catalog, item_id, 1):
                    return surface, item_id
    return surface, snapshot.catalog.item_at(0).item_id


def _shell_json(body: object) -> str:
    return msgspec.json.encode(body).decode().replace("'", "'\\''")
