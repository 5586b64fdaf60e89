"""Rules, dashboards and runbooks as they ship; ``rules/``, ``dashboards/``, ``docs/runbooks/``."""
