"""What tests of the server share."""

from starlette.testclient import TestClient

from spectral_edge.serve import create_app

TOKEN = "a-token-of-the-tests"
HOSTILE = "<img src=x onerror=alert(1)>"


def opened(root):
    """A client that has shown the token."""
    client = TestClient(create_app(root, TOKEN), base_url="http://127.0.0.1")
    client.get("/", params={"token": TOKEN})
    return client
