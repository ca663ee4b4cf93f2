"""``recsys serve``: answer recommendation requests over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.console import OK, print_warning
from recsys.contracts.errors import UsageError

if TYPE_CHECKING:
    from recsys.service.settings import TokenSettings

app = cyclopts.App(name="serve")

_PORT = Number(gte=0, lte=65535)


@app.default
def serve(
    *,
    dev: Annotated[bool, Parameter(negative="")] = False,
    host: Annotated[str, Parameter(env_var="RECSYS_HOST")] = "127.0.0.1",
    port: Annotated[int, Parameter(env_var="RECSYS_PORT", validator=_PORT)] = 8000,
    admin_host: Annotated[str, Parameter(env_var="RECSYS_ADMIN_HOST")] = "127.0.0.1",
    admin_port: Annotated[int | None, Parameter(env_var="RECSYS_ADMIN_PORT", validator=_PORT)] = None,
    data_dir: Annotated[Path, Parameter(env_var="RECSYS_DATA_DIR")] = Path("data"),
    store: Annotated[str | None, Parameter(env_var="RECSYS_STORE")] = None,
    registry: Annotated[str | None, Parameter(env_var="RECSYS_REGISTRY")] = None,
    workers: Annotated[int, Parameter(env_var="RECSYS_WORKERS", validator=Number(gte=1, lte=256))] = 1,
    pin_workers: Annotated[bool, Parameter(env_var="RECSYS_PIN_WORKERS", negative="")] = False,
    max_pending: Annotated[
        int, Parameter(env_var="RECSYS_MAX_PENDING", validator=Number(gte=1, lte=1_000_000))
    ] = 256,
    drain: Annotated[
        float | None, Parameter(env_var="RECSYS_DRAIN", validator=Number(gte=0, lte=600))
    ] = None,
    log_requests: Annotated[bool, Parameter(env_var="RECSYS_LOG_REQUESTS", negative="")] = False,
    traces: Annotated[bool, Parameter(env_var="RECSYS_TRACES", negative="")] = False,
    jwt_jwks: Annotated[str | None, Parameter(env_var="RECSYS_JWT_JWKS")] = None,
    jwt_issuer: Annotated[str, Parameter(env_var="RECSYS_JWT_ISSUER")] = "",
    jwt_audience: Annotated[str, Parameter(env_var="RECSYS_JWT_AUDIENCE")] = "",
    jwt_algorithms: Annotated[str, Parameter(env_var="RECSYS_JWT_ALGORITHMS")] = "RS256,ES256",
    jwt_leeway: Annotated[float, Parameter(env_var="RECSYS_JWT_LEEWAY")] = 30.0,
    jwt_tenant_claim: Annotated[str, Parameter(env_var="RECSYS_JWT_TENANT_CLAIM")] = "tenant_id",
    jwt_roles_claim: Annotated[str, Parameter(env_var="RECSYS_JWT_ROLES_CLAIM")] = "roles",
) -> int:
    """Serve recommendations from a data folder. Every option but --dev may be given by its variable.

    Callers send an API key (`recsys key issue`), or a token when --jwt-jwks is given.

    Parameters
    ----------
    dev
        Development mode: loopback only, tenant from X-Org-Id (default demo), everybody is admin.
    host
        The address to listen at.
    port
        The port to listen at; 0 takes a free one.
    admin_host
        The address of --admin-port.
    admin_port
        Serve the admin API at this port, and no more at --port; 0 takes a free one.
    data_dir
        The folder of the control store, logs and cache, and of the registry unless --registry is given.
    store
        postgresql://HOST/DATABASE: the control store is there, and not in the data folder.
    registry
        Where releases are: a folder, or s3://bucket/prefix.
    workers
        Worker processes; they share the pages of the artifacts.
    pin_workers
        Keep each worker on a core of its own (Linux); for a host, or a set of cores, that does nothing else.
    max_pending
        Requests that a worker takes on at once; it answers 503 beyond that.
    drain
        Seconds between a signal to stop, which turns readiness off, and the end of accepting connections;
        2 unless given, 0 with --dev.
    log_requests
        Write a line on stderr for each request.
    traces
        Send a trace of each request by OpenTelemetry (OTLP over HTTP); the OTEL_ variables say where to.
    jwt_jwks
        The keys of the identity provider: a file or an https URL.
    jwt_issuer
        What the claim iss of a token has to be.
    jwt_audience
        What the claim aud of a token has to have.
    jwt_algorithms
        The signature algorithms that are taken, with commas between.
    jwt_leeway
        Seconds that the clocks of the provider and this host may differ.
    jwt_tenant_claim
        The claim that names the tenant.
    jwt_roles_claim
        The claim with the roles: a list, or names with spaces between.
    """
    from recsys.service.loading import Sources
    from recsys.service.server import serve as run_server
    from recsys.service.settings import ServeSettings, TokenSettings

    tokens = None
    if jwt_jwks is not None:
        tokens = TokenSettings(
            jwks=jwt_jwks,
            issuer=jwt_issuer,
            audience=jwt_audience,
            algorithms=tuple(name.strip() for name in jwt_algorithms.split(",") if name.strip()),
            leeway_s=jwt_leeway,
            tenant_claim=jwt_tenant_claim,
            roles_claim=jwt_roles_claim,
        )
        _check_tokens(tokens)
    settings = ServeSettings(
        sources=Sources(data_dir, registry, store or None),
        is_development=dev,
        host=host,
        port=port,
        admin_host=admin_host,
        admin_port=admin_port,
        workers=workers,
        pins_workers=pin_workers,
        max_pending=max_pending,
        drain_s=(0.0 if dev else 2.0) if drain is None else drain,
        tokens=tokens,
        logs_requests=log_requests,
        traces_requests=traces,
    )
    if traces:
        _check_traces()
    run_server(settings, lambda line: print(line, flush=True), print_warning)
    return OK


def _check_traces() -> None:
    try:
        import recsys.observability.traces  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(f"--traces needs the extra `otel`: pip install 'recsys[otel]' ({error})") from error


def _check_tokens(settings: TokenSettings) -> None:
    try:
        from recsys.service.tokens import check_token_settings
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--jwt-jwks needs the extra `auth`: pip install 'recsys[auth]' ({error})"
        ) from error
    check_token_settings(settings)
