"""One HTTP request to our own service."""

from __future__ import annotations

from collections.abc import Mapping


def http_exchange(
    url: str,
    timeout: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """(status, body). Directly: a proxy of the environment must not stand before our own service.

    @throws OSError, ValueError
    """
    # Here, because it takes as long to load as all other modules together and few need it.
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        method = "GET" if body is None else "POST"
        connection.request(method, parts.path, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read(16 * 1024 * 1024)
    except http.client.HTTPException as error:
        raise ValueError(f"no HTTP answer: {type(error).__name__} {error}") from None
    finally:
        connection.close()
