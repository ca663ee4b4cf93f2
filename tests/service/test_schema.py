"""The service keeps what its OpenAPI document promises, whatever is sent."""

import os
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from tests.service.conftest import write_tenant
from tests.service.processes import serving

from recsys.service.openapi import build_openapi

EXAMPLES = int(os.environ.get("RECSYS_TEST_EXAMPLES", "8"))
API = schemathesis.openapi.from_dict(build_openapi())
# Not among them: that whatever fits the schema is taken. Some rules need several fields, or are about what
# there is.
CHOSEN = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.allow_header_conformance,
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("schema")
    write_tenant(folder)
    with serving(folder, "--dev") as server:
        yield server.url


@pytest.mark.slow
@API.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize="RECSYS_TEST_EXAMPLES" not in os.environ,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_describes(case, url):
    # A batch of events keeps its good records: a record that breaks the schema is told in a 200.
    left_out = [checks.negative_data_rejection] if case.operation.path == "/v1/events" else []
    case.call_and_validate(base_url=url, checks=CHOSEN, excluded_checks=left_out)
