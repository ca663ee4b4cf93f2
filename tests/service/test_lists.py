"""What recommend, similar and validate answer, and the warnings that go with it."""

import json

import pytest

from recsys.contracts.pseudonym import pseudonym


def test_popularity_mode_gives_the_segments_list_in_order(make_client):
    client = make_client(config='[config.defaults]\nmode = "popularity"')
    answer = client.recommend()
    assert answer.status == 200
    assert answer.item_ids == ["i00", "i01", "i02", "i03", "i04"]
    assert client.recommend(segment="vip").item_ids == ["i10", "i11", "i12", "i13", "i14"]
    assert [item["rank"] for item in answer.json()["items"]] == [1, 2, 3, 4, 5]
    assert answer.warning_codes == []


def test_cooc_mode_puts_neighbours_of_the_anchors_first_and_never_the_anchors(make_client):
    client = make_client(config='[config.defaults]\nmode = "cooc"')
    answer = client.recommend(anchors={"item_ids": ["i00"]})
    assert answer.item_ids[:3] == ["i05", "i07", "i03"]
    assert "i00" not in answer.item_ids


def test_only_the_first_max_anchors_count(make_client):
    client = make_client(config='[config.defaults]\nmode = "cooc"')
    answer = client.recommend(anchors={"item_ids": ["i01", "i00"], "max_anchors": 1}, k=2)
    assert answer.item_ids == ["i08", "i05"]


def test_blend_is_the_default_and_takes_both_signals(client):
    answer = client.recommend(anchors={"item_ids": ["i00"]}, options={"include_reasons": True})
    reasons = {reason for item in answer.json()["items"] for reason in item["reasons"]}
    assert {"popularity", "cooc"} <= reasons


def test_similar_gives_what_goes_with_the_item(client):
    assert client.similar("i00", k=3).item_ids == ["i05", "i07", "i03"]


def test_similar_of_an_unknown_item_falls_back_and_says_so(client):
    answer = client.similar("nothing like it")
    assert len(answer.item_ids) == 5
    assert {"SIGNAL_UNAVAILABLE", "FALLBACK_USED"} <= set(answer.warning_codes)


def test_partly_known_anchors_are_told(client):
    answer = client.recommend(anchors={"item_ids": ["i00", "i20"]})
    assert "SIGNAL_PARTIAL" in answer.warning_codes


def test_missing_signals_are_told_and_the_newest_served(make_client):
    client = make_client(signals=False)
    answer = client.recommend()
    assert answer.item_ids == ["i27", "i26", "i25", "i24", "i23"]
    assert {"SIGNAL_UNAVAILABLE", "FALLBACK_USED"} <= set(answer.warning_codes)
    assert client.get("/readyz").status == 503


def test_unknown_segment_falls_to_the_surface_default(make_client):
    client = make_client(config='[config.defaults]\nmode = "popularity"')
    answer = client.recommend(segment="nobody")
    assert answer.item_ids[0] == "i00"
    assert {"code": "FALLBACK_USED", "detail": "surface_default"} in answer.json()["warnings"]


def test_defaults_are_applied_with_a_warning(client):
    answer = client.post("/v1/recommend", {"surface": "home", "user": {"session_id": "s"}})
    body = answer.json()
    assert len(body["items"]) == 20
    assert body["meta"]["segment"] == "default"
    assert body["warnings"][:2] == [
        {"code": "DEFAULT_APPLIED", "detail": "segment: default"},
        {"code": "DEFAULT_APPLIED", "detail": "k: 20"},
    ]


def test_segment_is_derived_from_the_context(make_client):
    client = make_client(config='[[config.segmentation]]\nsegment = "vip"\ncountry = ["AT"]')
    body = {"surface": "home", "k": 5, "user": {"user_id": "u"}, "context": {"country": "at"}}
    assert client.post("/v1/recommend", body).json()["meta"]["segment"] == "vip"


def test_caller_weights_replace_all_three(client):
    answer = client.recommend(anchors={"item_ids": ["i00"]}, weights={"cooc": 1.0}, k=3)
    assert answer.item_ids == ["i05", "i07", "i03"]


@pytest.mark.parametrize(
    "config",
    [
        '[config.defaults]\nnormalizer = "none"\nmmr_lambda = 0.5',
        '[config.defaults.exploration]\nmethod = "plackett_luce"\ntemperature = 1e-6',
    ],
)
@pytest.mark.parametrize("n_boosts", [20, 100])
def test_scores_of_the_largest_weights_and_boosts_are_numbers_that_are_explained(
    make_client, n_boosts, config
):
    boosts = [
        {"rule_id": f"r{n}", "action": "BOOST", "target_type": "TAG", "target_key": "odd", "boost": 1e6}
        for n in range(n_boosts)
    ]
    client = make_client(rules=boosts, config=config)
    weights = {"pop": 1e100, "cooc": 1e100, "emb": 1e100}
    options = {"include_reasons": True, "explain": "full", "include_trace": True}
    for asked in ({}, {"options": options}):
        answer = client.recommend(weights=weights, anchors={"item_ids": ["i00"]}, **asked)
        listed = json.loads(answer.body, parse_constant=pytest.fail)["items"]
        assert all(0 < item["score"] < float("inf") for item in listed)
    for item in listed:
        explained = item["explain"]
        total = sum(part["weighted"] for part in explained["contributions"])
        assert total * explained["boost"] == pytest.approx(item["score"])
        assert all(None not in part.values() for part in explained["contributions"])
    for line in client.exposures():
        assert None not in [item.get("propensity", 1.0) for item in line["items"]]


def test_caller_weights_are_ignored_when_the_flag_is_off(make_client):
    client = make_client(config="[config.flags]\naccept_caller_weights = false")
    with_weights = client.recommend(weights={"cooc": 1.0}).json()["items"]
    assert with_weights == client.recommend().json()["items"]


def test_excluded_unavailable_and_expired_items_are_not_returned(client):
    answer = client.recommend(k=200, candidates={"exclude_ids": ["i00", "i02"]})
    assert {"i00", "i02", "i28", "i29"}.isdisjoint(answer.item_ids)


def test_include_is_an_allow_list(client):
    answer = client.recommend(candidates={"include_ids": ["i03", "i04", "unknown", "i28"]})
    assert set(answer.item_ids) == {"i03", "i04"}
    assert "CANDIDATES_INCLUDE_FILTERED" in answer.warning_codes


def test_include_with_nothing_left_says_so(client):
    answer = client.recommend(candidates={"include_ids": ["i28"]})
    assert answer.status == 200
    assert answer.item_ids == []
    assert "CANDIDATES_INCLUDE_EMPTY" in answer.warning_codes


@pytest.mark.parametrize(
    "constraints", [{"required_tags": ["even"]}, {"forbidden_tags": ["odd"]}, {"max_per_tag": {"odd": 0}}]
)
def test_constraints_filter_refill_and_warn(client, constraints):
    answer = client.recommend(constraints=constraints)
    assert len(answer.item_ids) == 5
    assert all(int(item[1:]) % 2 == 0 for item in answer.item_ids)
    assert "CONSTRAINTS_FILTERED" in answer.warning_codes


@pytest.mark.parametrize(
    "fields",
    [
        {"constraints": {"required_tags": ["no such tag"]}},
        {"candidates": {"exclude_ids": [f"i{number:02}" for number in range(30)]}},
    ],
)
def test_an_empty_list_always_says_why(client, fields):
    answer = client.recommend(**fields)
    assert answer.item_ids == []
    assert answer.warning_codes == ["CONSTRAINTS_FILTERED"]


def test_an_empty_list_from_which_nothing_was_dropped_says_so(make_client):
    client = make_client(config='[config.defaults]\nmode = "cooc"\nladder = []')
    answer = client.recommend()
    assert answer.item_ids == []
    assert answer.warning_codes == ["CONSTRAINTS_FILTERED"]


def test_a_cap_beyond_any_list_is_no_cap(client):
    answer = client.recommend(constraints={"max_per_tag": {"odd": 10**30}})
    assert answer.item_ids == client.recommend().item_ids


def test_rules_pin_block_and_boost(make_client):
    rules = [
        {"rule_id": "p", "action": "PIN", "target_type": "ITEM", "item_ids": ["i27"]},
        {"rule_id": "b", "action": "BLOCK", "target_type": "BRAND", "target_key": "b0"},
    ]
    answer = make_client(rules=rules).recommend(options={"include_reasons": True}, k=10)
    assert answer.item_ids[0] == "i27"
    assert "pin:p" in answer.json()["items"][0]["reasons"]
    assert {"code": "RULE_PIN_INJECTED", "detail": "i27"} in answer.json()["warnings"]
    assert all(int(item[1:]) % 5 for item in answer.item_ids)


def test_rules_hold_within_their_window_by_the_requests_clock(make_client):
    window = {"valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-02-01T00:00:00Z"}
    rule = {"rule_id": "b", "action": "BLOCK", "target_type": "ITEM", "target_key": "i00"}
    client = make_client(rules=[rule | window])

    def items_at(now: str) -> list[str]:
        return client.recommend(context={"now": now}).item_ids

    assert "i00" not in items_at("2026-01-01T00:00:00Z")
    assert "i00" not in items_at("2026-01-31T23:59:59Z")
    assert "i00" in items_at("2026-02-01T00:00:00Z")
    assert "i00" in items_at("2025-12-31T23:59:59Z")


def test_explanations_add_up_to_the_score_on_rungs_too(make_client):
    boost = {"rule_id": "x", "action": "BOOST", "target_type": "TAG", "target_key": "odd", "boost": 0.5}
    client = make_client(rules=[boost])
    answer = client.recommend(k=50, anchors={"item_ids": ["i00"]}, options={"explain": "summary"})
    for item in answer.json()["items"]:
        explanation, total = item["explain"], 0.0
        for part in explanation["contributions"]:
            total += part["weighted"]
        assert total * explanation["boost"] == item["score"]
    assert b'"boost":1.0' in answer.body
    rungs = {part["signal"] for item in answer.json()["items"] for part in item["explain"]["contributions"]}
    assert {"popularity", "cooc"} < rungs
    assert any(name.startswith("fallback:") for name in rungs)


def test_full_names_what_was_left_out_and_the_rule_that_blocks(make_client):
    block = {"rule_id": "b", "action": "BLOCK", "target_type": "ITEM", "item_ids": ["i03"]}
    client = make_client(rules=[block])
    body = client.recommend(candidates={"exclude_ids": ["i02"]}, options={"explain": "full"}).json()
    filtered = body["meta"]["filtered"]
    assert {"item_id": "i03", "filter": "blocked", "rule_id": "b"} in filtered
    assert {"item_id": "i02", "filter": "excluded"} in filtered
    summary = client.recommend(options={"explain": "summary"}).json()
    assert "filtered" not in summary["meta"]


def test_full_shows_the_steps_of_mmr(make_client):
    client = make_client(config='[config.defaults]\nmode = "popularity"\nmmr_lambda = 0.5\n')
    items = client.recommend(k=5, options={"explain": "full"}).json()["items"]
    for item in items:
        step = item["explain"]["mmr"]
        assert step["value"] == 0.5 * step["relevance"] - 0.5 * step["similarity"]
        assert step["lambda"] == 0.5
    assert items[0]["explain"]["mmr"]["similarity"] == 0.0
    assert items[0]["explain"]["mmr"]["rank_by_score"] == 1


def test_summary_adds_up_to_the_score(make_client):
    boost = {"rule_id": "x", "action": "BOOST", "target_type": "TAG", "target_key": "odd", "boost": 0.5}
    answer = make_client(rules=[boost]).recommend(
        anchors={"item_ids": ["i00"]}, options={"explain": "full", "include_trace": True}
    )
    for item in answer.json()["items"]:
        explanation = item["explain"]
        total = sum(part["weighted"] for part in explanation["contributions"]) * explanation["boost"]
        assert total == pytest.approx(item["score"], rel=1e-6)
    assert answer.json()["meta"]["timings_ms"]
    assert answer.json()["meta"]["counts"]


def test_same_request_same_bytes_but_for_the_request_id(client):
    first, second = (client.recommend({"x_request_id": name}, k=20) for name in ("aa", "bb"))
    assert first.body.replace(b'"aa"', b'"bb"') == second.body


def test_validate_fills_defaults_and_neither_ranks_nor_logs(client):
    answer = client.post("/v1/recommend/validate", {"surface": "home", "user": {"user_id": "u"}})
    body = answer.json()
    assert body["request"] == {
        "surface": "home",
        "segment": "default",
        "k": 20,
        "user": {"user_id": "u"},
    }
    assert [warning["code"] for warning in body["warnings"]] == ["DEFAULT_APPLIED", "DEFAULT_APPLIED"]
    assert client.exposures() == []


def test_exposure_is_written_with_a_pseudonym_before_the_answer(client):
    answer = client.recommend(
        {"x_request_id": "r-1"},
        user={"anonymous_id": "anna", "session_id": "s"},
        context={"now": "2026-01-31T12:00:00Z", "locale": "de-AT", "device": "phone", "country": "AT"},
        experiment={"id": "e", "variant": "b"},
    )
    (exposure,) = client.exposures()
    meta = answer.json()["meta"]
    assert exposure["request_id"] == "r-1"
    assert exposure["user_id"] == pseudonym(client.state.tenants["demo"].salt, "anna")
    assert [item["item_id"] for item in exposure["items"]] == answer.item_ids
    assert [item["rank"] for item in exposure["items"]] == [1, 2, 3, 4, 5]
    assert exposure["error"] is False
    assert exposure["latency_ms"] > 0
    expected = {name: value for name, value in meta.items() if name not in ("request_id", "experiment")}
    assert exposure["context"] == expected | {
        "experiment_id": "e",
        "experiment_variant": "b",
        "locale": "de-AT",
        "device": "phone",
        "country": "AT",
        "now": "2026-01-31T12:00:00+00:00",
    }


def test_exposures_are_not_written_when_the_flag_is_off(make_client):
    client = make_client(config="[config.flags]\nlog_exposures = false")
    client.recommend()
    assert client.exposures() == []
