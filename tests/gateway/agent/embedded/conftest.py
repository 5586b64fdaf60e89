"""Authorities are made once: they cost more than a test."""

import pytest

from exporter.demo.authorities import Authorities, make_authorities
from tests.gateway.agent.embedded.stand import NOW


@pytest.fixture(scope="session")
def ca() -> Authorities:
    return make_authorities(NOW)
