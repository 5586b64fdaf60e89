"""The Grafana dashboards, written in ``dashboards/`` by ``python -m tools.dashboards``."""
