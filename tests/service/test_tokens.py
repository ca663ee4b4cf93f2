"""JSON Web Tokens: every check refuses what it is there to refuse."""

import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from recsys.contracts.errors import UsageError
from recsys.service.app import App
from recsys.service.credentials import CredentialAuthenticator
from recsys.service.jwks import KeySet, choose_fetch, read_keys
from recsys.service.settings import TokenSettings
from recsys.service.tokens import TokenVerifier, check_token_settings

SETTINGS = TokenSettings("unused", "https://issuer.example", "recsys", leeway_s=30.0)


FIRST, SECOND, STRANGER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(3))


class Provider:
    """An identity provider: signs tokens, publishes its keys, counts how often they are read."""

    def __init__(self):
        self.keys = {"k1": FIRST}
        self.reads = 0
        self.is_down = False

    def fetch(self, source):
        self.reads += 1
        if self.is_down:
            raise OSError("down")
        keys = []
        for kid, key in self.keys.items():
            jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
            keys.append(jwk | {"kid": kid, "use": "sig", "alg": "RS256"})
        return json.dumps({"keys": keys})

    def sign(self, kid="k1", key=None, algorithm="RS256", headers=None, drop=(), **changes):
        claims = {
            "iss": SETTINGS.issuer,
            "aud": SETTINGS.audience,
            "sub": "web",
            "exp": time.time() + 300,
            "tenant_id": "demo",
            "roles": ["service"],
        } | changes
        claims = {name: value for name, value in claims.items() if name not in drop}
        return jwt.encode(claims, key or self.keys[kid], algorithm, headers={"kid": kid} | (headers or {}))


class Ticks:
    """Seconds that a test sets."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
def ticks():
    return Ticks()


@pytest.fixture
def tokens(client, provider, ticks):
    keys = KeySet("https://issuer.example/keys", fetch=provider.fetch, clock=ticks)
    authenticator = CredentialAuthenticator(client.state, TokenVerifier(SETTINGS, keys))
    client.app = App(client.state, client.watcher, authenticator)
    return client


def ask(client, token, **headers):
    answer = client.recommend({"authorization": f"Bearer {token}"} | headers)
    return answer.status, answer.json().get("code")


def test_a_good_token_is_taken_for_its_tenant_and_roles(tokens, provider):
    assert ask(tokens, provider.sign()) == (200, None)
    assert ask(tokens, provider.sign(roles="other service")) == (200, None)
    assert ask(tokens, provider.sign(), x_org_id="other") == (403, "RECSYS_TENANT_SCOPE_MISMATCH")
    assert ask(tokens, provider.sign(roles=["stranger", 7])) == (403, "RECSYS_FORBIDDEN")
    assert ask(tokens, provider.sign(drop=["roles"])) == (403, "RECSYS_FORBIDDEN")
    full = tokens.recommend({"authorization": f"Bearer {provider.sign()}"}, options={"explain": "full"})
    assert full.json()["code"] == "RECSYS_FORBIDDEN"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"drop": ["tenant_id"]}, 403, "RECSYS_TENANT_SCOPE_REQUIRED"),
        ({"tenant_id": "a/b"}, 403, "RECSYS_TENANT_SCOPE_INVALID"),
        ({"tenant_id": ["demo"]}, 403, "RECSYS_TENANT_SCOPE_INVALID"),
        ({"tenant_id": "nobody"}, 404, "RECSYS_TENANT_NOT_FOUND"),
        ({"iss": "https://elsewhere.example"}, 401, "RECSYS_AUTH_INVALID"),
        ({"aud": "another"}, 401, "RECSYS_AUTH_INVALID"),
        ({"aud": ["another", "recsys"]}, 200, None),
        ({"exp": time.time() - 31}, 401, "RECSYS_AUTH_INVALID"),
        ({"nbf": time.time() + 9000}, 401, "RECSYS_AUTH_INVALID"),
        ({"nbf": time.time() - 1}, 200, None),
        ({"drop": ["exp"]}, 401, "RECSYS_AUTH_INVALID"),
        ({"drop": ["iss"]}, 401, "RECSYS_AUTH_INVALID"),
        ({"drop": ["aud"]}, 401, "RECSYS_AUTH_INVALID"),
        ({"drop": ["sub"]}, 401, "RECSYS_AUTH_INVALID"),
    ],
)
def test_claims(tokens, provider, changes, status, code):
    assert ask(tokens, provider.sign(**changes)) == (status, code)


def test_a_token_within_the_leeway_is_taken(tokens, provider):
    assert ask(tokens, provider.sign(exp=time.time() - 10)) == (200, None)
    assert ask(tokens, provider.sign(nbf=time.time() + 20)) == (200, None)


def test_signatures_that_prove_nothing(tokens, provider):
    good = provider.sign()
    header, claims, signature = good.split(".")
    public = provider.keys["k1"].public_key()
    elliptic = ec.generate_private_key(ec.SECP256R1())
    unsigned = jwt.encode(jwt.decode(good, options={"verify_signature": False}), None, "none")
    bad = [
        provider.sign(key=STRANGER),
        provider.sign(algorithm="RS512"),
        provider.sign(key=elliptic, algorithm="ES256"),
        unsigned,
        f"{header}.{claims}.",
        f"{header}.{claims}.{signature[:-4]}AAAA",
        f"{header}.{claims}",
        "a.b.c",
        "x" * 20_000,
    ]
    # The old trick: the public key, which everybody has, as the secret of a symmetric signature.
    secret = json.dumps(public.public_numbers().n)
    bad.append(jwt.encode({"sub": "x"}, secret.ljust(64), "HS256", headers={"kid": "k1"}))
    for token in bad:
        assert ask(tokens, token) == (401, "RECSYS_AUTH_INVALID"), token[:40]


def test_a_new_key_is_found_and_a_withdrawn_one_forgotten(tokens, provider, ticks):
    first = provider.sign()
    assert ask(tokens, first) == (200, None)
    provider.keys["k2"] = SECOND
    ticks.now += 10
    assert ask(tokens, provider.sign(kid="k2")) == (200, None)
    old = provider.sign(sub="another")
    del provider.keys["k1"]
    ticks.now += 301
    assert ask(tokens, provider.sign(kid="k2", sub="more")) == (200, None)
    assert ask(tokens, old) == (401, "RECSYS_AUTH_INVALID")


def test_unknown_key_ids_do_not_make_the_service_hammer_the_provider(tokens, provider):
    assert ask(tokens, provider.sign()) == (200, None)
    for number in range(20):
        assert ask(tokens, provider.sign(headers={"kid": f"x{number}"}))[0] == 401
    assert provider.reads == 1


def test_a_provider_that_is_down_is_503_before_and_nothing_after_its_keys_are_known(tokens, provider, ticks):
    provider.is_down = True
    answer = tokens.recommend({"authorization": f"Bearer {provider.sign()}"})
    assert (answer.status, answer.json()["code"]) == (503, "RECSYS_OVERLOADED")
    assert int(answer.headers["retry-after"]) > 0
    provider.is_down = False
    ticks.now += 10
    assert ask(tokens, provider.sign()) == (200, None)
    provider.is_down = True
    ticks.now += 1000
    assert ask(tokens, provider.sign(sub="another")) == (200, None)


def test_a_verified_token_is_not_verified_again(tokens, provider, monkeypatch):
    token = provider.sign()
    assert ask(tokens, token) == (200, None)
    monkeypatch.setattr(TokenVerifier, "verify", None)
    assert ask(tokens, token) == (200, None)


def test_a_single_key_needs_no_id_in_the_token():
    provider = Provider()
    assert set(read_keys(provider.fetch(""))) == {"k1", None}
    provider.keys["k2"] = provider.keys["k1"]
    assert set(read_keys(provider.fetch(""))) == {"k1", "k2"}


def test_keys_come_from_a_file(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(Provider().fetch(""))
    assert KeySet(str(path)).find("k1") is not None


@pytest.mark.parametrize(
    "source", ["http://issuer.example/keys", "ftp://issuer.example/keys", "file:///etc/keys"]
)
def test_keys_do_not_come_over_an_open_line(source):
    with pytest.raises(UsageError, match="https"):
        choose_fetch(source)


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"issuer": ""}, "--jwt-issuer"),
        ({"audience": ""}, "--jwt-audience"),
        ({"algorithms": ("HS256",)}, "--jwt-algorithms HS256"),
        ({"algorithms": ("none",)}, "--jwt-algorithms none"),
        ({"algorithms": ()}, "--jwt-algorithms"),
        ({"leeway_s": 301.0}, "--jwt-leeway"),
        ({"jwks": "http://issuer.example"}, "--jwt-jwks"),
    ],
)
def test_settings_that_would_be_unsafe_are_refused(changes, option):
    from msgspec.structs import replace

    with pytest.raises(UsageError, match=option):
        check_token_settings(replace(SETTINGS, **changes))
