"""What an object store's library raises becomes one line that says what to do."""

import pytest

from recsys.contracts.store_errors import explain_store_error

XML = '<?xml version="1.0"?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>x</Message></Error>'


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (
            "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 5ms, after 3 "
            "retries, max_retries: 3 - HTTP error: error sending request\n\nDebug source:\nGeneric {",
            "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "(AWS_SKIP_SIGNATURE=true for a public bucket), "
            "and AWS_REGION or AWS_ENDPOINT_URL where they are needed",
        ),
        (
            "Generic S3 error: Missing SecretAccessKey",
            "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        (
            f"Not permitted: Error performing GET http://h/b/k in 3ms - 403 Forbidden: {XML}",
            "Not permitted: Error performing GET http://h/b/k in 3ms - 403 Forbidden: SignatureDoesNotMatch",
        ),
        ("Generic S3 error: broken\n\nDebug source:\nx", "broken"),
        ("", "OSError"),
    ],
)
def test_one_line_says_what_to_do(raised: str, told: str) -> None:
    assert explain_store_error(OSError(raised)) == told
