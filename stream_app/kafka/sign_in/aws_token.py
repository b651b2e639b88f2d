"""Sign-in to Amazon MSK by IAM: a signed address is the token, and OAUTHBEARER carries it."""

from __future__ import annotations

import importlib
import time
from typing import Any

from stream_app.domain.errors import ConfigurationError
from stream_app.domain.foreign_text.printable import printable
from stream_app.kafka.sign_in.refusals import SignInRefusedError
from stream_app.kafka.sign_in.tokens import SignInToken

INSTALL = "pip install 'stream-app[msk]'"
MECHANISM = "STREAM_APP_KAFKA__SASL_MECHANISM is AWS_MSK_IAM"


def load_signer() -> Any:
    """Return Amazon's module, which is an extra.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        # Named here alone: it brings botocore, which is large and starts slowly.
        return importlib.import_module("aws_msk_iam_sasl_signer.MSKAuthTokenProvider")
    except ImportError as error:
        raise ConfigurationError(
            f"{MECHANISM}, and that needs an extra that is not installed ({error}): {INSTALL}"
        ) from None


def sign_token(region: str) -> SignInToken:
    """Sign a token with the credentials that AWS's own chain finds; this may ask AWS, and block.

    Raises:
        SignInRefusedError: there are no credentials, or they cannot be used.
    """
    try:
        text, ends_ms = load_signer().generate_auth_token(region)
    except ConfigurationError as error:
        raise SignInRefusedError(str(error)) from None
    except Exception as error:  # noqa: BLE001 - botocore's own, of many kinds; none if nothing is found
        # Without credentials the signer looks for an attribute of None.
        why = "" if isinstance(error, AttributeError) else f" ({printable(str(error))[:200]})"
        raise SignInRefusedError(
            f"{MECHANISM}: no AWS credentials can be used{why}: give the process a role, or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            may_pass=not isinstance(error, AttributeError | ValueError),
        ) from None
    return SignInToken(text, max(1.0, ends_ms / 1000 - time.time()))
