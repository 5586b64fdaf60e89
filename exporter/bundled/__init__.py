"""Alert rules and dashboards as they ship; ``rules/`` and ``dashboards/`` are the source."""
