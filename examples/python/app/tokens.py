"""Tokens: a name, signed."""

from itsdangerous import BadSignature, Signer


def sign(secret: str, name: str) -> str:
    return Signer(secret).sign(name).decode()


def name_of(secret: str, token: str) -> str | None:
    """The name in a token; None for one that was not signed with this secret."""
    try:
        return Signer(secret).unsign(token).decode()
    except BadSignature:
        return None
