"""Puts the handlers of the service and its operations together."""

from __future__ import annotations

from recsys.observability.metrics import Metrics
from recsys.service.admin_audit import AdminAudit
from recsys.service.admin_cache import AdminCache
from recsys.service.admin_documents import AdminDocuments
from recsys.service.admin_experiments import AdminExperiments
from recsys.service.admin_manifests import AdminManifests
from recsys.service.admin_preview import AdminPreview
from recsys.service.admin_signals import AdminSignals
from recsys.service.admin_status import AdminStatus
from recsys.service.admin_users import AdminUsers
from recsys.service.batches import Batches
from recsys.service.console import CONSOLE_FILES, show_console
from recsys.service.documentation import Documentation
from recsys.service.events import Events
from recsys.service.health import Health
from recsys.service.lists import Lists
from recsys.service.operations import CONSOLE_PATH, OPERATIONS, TENANT_PATH
from recsys.service.rate_limits import RateLimits
from recsys.service.routes import Handler, Route, Router
from recsys.service.settings import ServedRoutes
from recsys.service.state import State
from recsys.service.watcher import Watcher


def make_router(
    state: State, watcher: Watcher, metrics: Metrics, served: ServedRoutes, rate_limits: RateLimits | None
) -> Router:
    """Return the router of a worker."""
    handlers = _handlers(state, watcher, metrics, rate_limits)
    routes = [Route(operation, handlers.pop((operation.method, operation.path))) for operation in OPERATIONS]
    if handlers:
        raise LookupError(f"no operation has the handlers of {sorted(handlers)}")
    return Router([route for route in routes if _is_served(route, served)])


def _is_served(route: Route, served: ServedRoutes) -> bool:
    operation = route.operation
    if served == "all":
        return True
    if operation.is_admin or operation.is_console:
        return served == "admin"
    return operation.roles is None or served == "public"


def _handlers(
    state: State, watcher: Watcher, metrics: Metrics, rate_limits: RateLimits | None
) -> dict[tuple[str, str], Handler]:
    lists = Lists(state, metrics)
    events = Events(state, metrics)
    documents, experiments = AdminDocuments(state, "experiments"), AdminExperiments(state)
    health = Health(state, watcher, metrics)
    documentation = Documentation()
    preview = AdminPreview(state, lists)
    config, rules = AdminDocuments(state, "config"), AdminDocuments(state, "rules")
    manifests = AdminManifests(state.plane, state.registry, watcher)
    below: dict[tuple[str, str], Handler] = {
        ("GET", "config"): config.show,
        ("PUT", "config"): config.put,
        ("GET", "config/versions"): config.history,
        ("POST", "config/rollback"): config.roll_back,
        ("GET", "rules"): rules.show,
        ("PUT", "rules"): rules.put,
        ("GET", "rules/versions"): rules.history,
        ("POST", "rules/rollback"): rules.roll_back,
        ("POST", "rules/preview"): preview.preview,
        ("POST", "preview"): preview.compare,
        ("GET", "status"): AdminStatus(state).show,
        ("GET", "manifests/{surface}"): manifests.show,
        ("GET", "manifests/{surface}/versions"): manifests.history,
        ("POST", "manifests/{surface}/rollback"): manifests.roll_back,
        ("GET", "experiments"): documents.show,
        ("PUT", "experiments"): documents.put,
        ("GET", "experiments/versions"): documents.history,
        ("POST", "experiments/rollback"): documents.roll_back,
        ("POST", "experiments"): experiments.create,
        ("POST", "experiments/{experiment_id}/start"): experiments.start,
        ("POST", "experiments/{experiment_id}/stop"): experiments.stop,
        ("POST", "experiments/{experiment_id}/kill"): experiments.kill,
        ("POST", "experiments/{experiment_id}/resume"): experiments.resume,
        ("POST", "experiments/{experiment_id}/ramp"): experiments.ramp,
        ("POST", "experiments/{experiment_id}/rollback"): experiments.roll_back,
        ("POST", "cache/invalidate"): AdminCache(state).invalidate,
        ("PUT", "signals/catalog"): AdminSignals(state, "catalog").put,
        ("PUT", "signals/popularity"): AdminSignals(state, "popularity").put,
        ("PUT", "signals/cooc"): AdminSignals(state, "cooc").put,
        ("DELETE", "users/{pseudonym}"): AdminUsers(state).erase,
        ("GET", "audit"): AdminAudit(state.plane).show,
    }
    return (
        {(method, f"{TENANT_PATH}/{path}"): handler for (method, path), handler in below.items()}
        | {
            ("POST", "/v1/recommend"): lists.recommend,
            ("POST", "/v1/recommend/validate"): lists.validate,
            ("POST", "/v1/recommend/batch"): Batches(state, lists, rate_limits).recommend,
            ("POST", "/v1/similar"): lists.similar,
            ("POST", "/v1/events"): events.take,
            ("GET", "/recsys-events.js"): events.script,
            ("GET", "/livez"): health.livez,
            ("GET", "/readyz"): health.readyz,
            ("GET", "/healthz"): health.readyz,
            ("GET", "/version"): health.version,
            ("GET", "/metrics"): health.metrics,
            ("GET", "/openapi.json"): documentation.openapi,
            ("GET", "/docs"): documentation.page,
        }
        | {
            ("GET", CONSOLE_PATH): show_console,
            **{("GET", f"{CONSOLE_PATH}/{name}"): show_console for name in CONSOLE_FILES},
        }
    )
