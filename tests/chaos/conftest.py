"""The real servers of tests/served."""
from tests.served.conftest import prefect_api  # noqa: F401
