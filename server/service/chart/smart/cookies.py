"""The cookies of launches: signed, not readable by scripts, and usable in an EHR's frame where that is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from flask import Response, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response as WebResponse

from integration.addresses import host_of, is_loopback

_SALT: Final = "outcome-bridge-launch"
_LONGEST: Final = 3000


@dataclass(frozen=True, kw_only=True, slots=True)
class Cookies:
    """Writes and reads cookies.

    Attributes:
        key: signs them.
        may_be_framed: whether an EHR may show the page in a frame: then the browser must send them there too.
    """

    key: bytes
    may_be_framed: bool

    def write(self, answer: Response | WebResponse, name: str, value: Any, *, seconds: int) -> None:
        """Set a cookie that is taken for so many seconds.

        In a frame a cookie is sent only with `SameSite=None`, which browsers want `Secure`, and keep apart by the page
        around it (`Partitioned`). Elsewhere `Lax` holds: the EHR leads here by opening our address.
        """
        is_secure = _is_secure()
        is_for_frames = self.may_be_framed and is_secure
        answer.set_cookie(
            _name(name),
            self._serializer(name).dumps(value),
            max_age=seconds,
            secure=is_secure,
            httponly=True,
            samesite="None" if is_for_frames else "Lax",
            partitioned=is_for_frames,
        )

    def read(self, name: str, *, seconds: int) -> Any:
        """Return what was written not longer ago than so many seconds; None if nothing was, by us."""
        text = request.cookies.get(_name(name), "")
        if not text or len(text) > _LONGEST:
            return None
        try:
            return self._serializer(name).loads(text, max_age=seconds)
        except BadSignature:
            return None

    def remove(self, answer: Response | WebResponse, name: str) -> None:
        """Take a cookie away."""
        is_secure = _is_secure()
        is_for_frames = self.may_be_framed and is_secure
        answer.delete_cookie(
            _name(name),
            secure=is_secure,
            httponly=True,
            samesite="None" if is_for_frames else "Lax",
            partitioned=is_for_frames,
        )

    def _serializer(self, name: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.key, salt=f"{_SALT}-{name}")


def _is_secure() -> bool:
    return request.is_secure or not is_loopback(host_of(f"//{request.host}"))


def _name(name: str) -> str:
    """Return a name that, by https, no other host and no subdomain can set (RFC 6265bis)."""
    return f"__Host-{name}" if _is_secure() else name
