"""Where in Grafana an alert leads: the dashboards of ``dashboards/`` by uid, with what to show."""

FLEET = "fleet-tls"
CHANGES = "fleet-tls-changes"
EXPORTER = "fleet-tls-exporter"
OF_GATEWAY = "fleet-tls-gateway?var-gateway={{ $labels.gateway | urlquery }}"
OF_DEVICE = "fleet-tls-device?var-device={{ $labels.device | urlquery }}"
# A role is the name of a dashboard and of its variable
OF_TARGET = "fleet-tls-{{ $labels.role }}?var-{{ $labels.role }}={{ $labels.target | urlquery }}"
