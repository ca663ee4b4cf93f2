"""What the library of object stores raises, in one line that says what to do where that is known."""

from __future__ import annotations

import re

_NO_CREDENTIALS = (
    # Without credentials the library asks the machine's own service for them, and tells of that alone.
    (
        re.compile(r"/latest/(?:api/token|meta-data)"),
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SKIP_SIGNATURE=true for a public bucket), and "
        "AWS_REGION or AWS_ENDPOINT_URL where they are needed",
    ),
    (
        re.compile(r"Missing (?:SecretAccessKey|AccessKeyId)"),
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        re.compile(r"/computeMetadata/"),
        "set GOOGLE_APPLICATION_CREDENTIALS to a key's file (GOOGLE_SKIP_SIGNATURE=true for a public bucket)",
    ),
    (
        re.compile(r"/metadata/identity|Account must be specified"),
        "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (AZURE_SKIP_SIGNATURE=true for a "
        "public container)",
    ),
)
_LIBRARY = re.compile(r"^Generic \w+ error: ")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_DOCUMENT = re.compile(r"\s*<\?xml.*$")


def explain_store_error(error: Exception) -> str:
    """Return what to set where the library found no credentials, else what it says, in one line."""
    text = str(error)
    for told, advice in _NO_CREDENTIALS:
        if told.search(text):
            return f"there are no credentials: {advice}"
    # The first line: what follows is the response, or a dump of its own state.
    line = _LIBRARY.sub("", text.partition("\n")[0].strip())
    code = _CODE.search(text)
    if code is not None:  # a document of the store; its code is what can be looked up
        return f"{_DOCUMENT.sub('', line)} {code[1]}"
    return line or type(error).__name__
