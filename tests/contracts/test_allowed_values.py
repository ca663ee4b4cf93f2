"""An error about a value that is none of a few says which these are."""

from __future__ import annotations

import pytest

from recsys.contracts.config import read_config
from recsys.contracts.documents import InvalidDocument
from recsys.contracts.experiments import read_experiments
from recsys.contracts.rules import parse_rules, read_rules


@pytest.mark.parametrize("action", ["pin", "block"])
def test_a_rule_with_an_unknown_action(action: str) -> None:
    rule = {"rule_id": "r", "action": action, "target_type": "TAG", "target_key": "t"}
    with pytest.raises(
        InvalidDocument, match=rf"rules\[0\]\.action: .*'{action}'; it is one of .*BLOCK"
    ) as caught:
        read_rules([rule])
    assert {"PIN", "BOOST"} <= set(str(caught.value).replace(",", "").split())


@pytest.mark.parametrize(
    "document", [{"defaults": {"mode": "pop"}}, {"surfaces": {"a": {}, "home": {"mode": "pop"}}}]
)
def test_a_config_with_an_unknown_mode(document: object) -> None:
    with pytest.raises(InvalidDocument, match=r"mode: .*'pop'; it is one of .*popularity"):
        read_config(document)


def test_an_experiment_with_an_unknown_guardrail() -> None:
    arms = [{"name": "a"}, {"name": "b"}]
    guardrails = [{"metric": "empty_rate", "margin": 0.1}]
    one = {"id": "e", "surface": "s", "arms": arms, "guardrails": guardrails}
    with pytest.raises(InvalidDocument, match=r"guardrails\[0\]\.metric: .*; it is one of .*empty_list_rate"):
        read_experiments({"experiments": [one]})


def test_an_empty_document_is_said_to_be_empty() -> None:
    with pytest.raises(InvalidDocument, match="rules: it is empty"):
        parse_rules(b" ")
