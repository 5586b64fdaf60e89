"""The exporter itself: when it is down, late or blind, nothing else can be relied on."""

from exporter.alerts.model import Alert, Rule, Scope, Severity
from exporter.alerts.pages import EXPORTER
from exporter.alerts.values import Exporters

_E = "fleet_tls_exporter_"


def exporter_rules(values: Exporters) -> tuple[Rule, ...]:
    """Return the rules."""
    return (*_presence(values), *_lags(values), *_faults(values))


def _presence(values: Exporters) -> tuple[Alert, Alert]:
    return (
        Alert(
            name="FleetTLSExporterDown",
            severity=Severity.WARNING,
            scope=Scope.EXPORTER,
            why="By its job's name, or because it was there within the last day",
            expr=f"""
up{{job=~"{values.job}"}} == 0
or
up == 0 and on (job, instance) count_over_time({_E}build_info[1d])
""",
            for_s=values.down_for,
            survives_gaps=False,
            summary="{{ $labels.instance }} cannot be scraped",
            description="Prometheus gets no answer from the exporter at {{ $labels.instance }}."
            " What only this one looks at is not watched now.",
            dashboard=EXPORTER,
        ),
        Alert(
            name="FleetTLSExporterAbsent",
            severity=Severity.CRITICAL,
            scope=Scope.EXPORTER,
            expr=f"absent({_E}build_info)",
            for_s=values.down_for,
            survives_gaps=False,
            summary="no fleet-tls-exporter is scraped",
            description="None of the other alerts can fire: nobody watches the fleet.",
            dashboard=EXPORTER,
        ),
    )


def _lags(values: Exporters) -> tuple[Alert, Alert]:
    return (
        Alert(
            name="FleetTLSScheduleLag",
            severity=Severity.WARNING,
            scope=Scope.EXPORTER,
            expr=f"""
histogram_quantile(0.99,
  sum by (job, instance, le) (rate({_E}schedule_lag_seconds_bucket{{answering="yes"}}[10m]))
) > {values.schedule_lag:g}
""",
            for_s=values.lag_for,
            summary="{{ $labels.instance }} looks too late",
            description="1% of the looks start {{ $value | humanizeDuration }} late or more: there"
            " is more to look at than {{ $labels.instance }} can do.",
            dashboard=EXPORTER,
        ),
        Alert(
            name="FleetTLSLogLag",
            severity=Severity.WARNING,
            scope=Scope.EXPORTER,
            expr=f"{_E}log_lag_seconds > {values.log_lag:g}",
            for_s=values.lag_for,
            summary="{{ $labels.instance }} is behind in reading {{ $labels.source }}",
            description="Reading the log {{ $labels.source }} is {{ $value | humanizeDuration }}"
            " behind writing. What devices refuse is seen that late.",
            dashboard=EXPORTER,
        ),
    )


def _faults(values: Exporters) -> tuple[Alert, ...]:
    return (
        Alert(
            name="FleetTLSLogNotRead",
            severity=Severity.WARNING,
            scope=Scope.EXPORTER,
            expr=f"{_E}log_source_ok == 0",
            for_s=values.fault_for,
            summary="{{ $labels.instance }} cannot read the log {{ $labels.source }}",
            description="The handshake log {{ $labels.source }} cannot be read, or is not there. A"
            " device that refuses its gateway is not seen.",
            dashboard=EXPORTER,
        ),
        Alert(
            name="FleetTLSStoreNotWritten",
            severity=Severity.WARNING,
            scope=Scope.EXPORTER,
            expr=f"{_E}store_ok == 0 or fleet_tls_trust_reports_durable == 0",
            for_s=values.fault_for,
            summary="{{ $labels.instance }} cannot write to its store",
            description="Counts of handshakes, positions in logs or reports of devices cannot be"
            " made durable. No handshake log is read until they can, so a device that refuses its"
            " gateway is not seen.",
            dashboard=EXPORTER,
        ),
        Alert(
            name="FleetTLSConfigReloadFailed",
            severity=Severity.WARNING,
            scope=Scope.EXPORTER,
            expr=f"{_E}config_last_reload_successful == 0",
            for_s=values.fault_for,
            summary="{{ $labels.instance }} runs with an older configuration than its file",
            description="The last reload was refused. `fleet-tls-exporter check-config` names"
            " every fault of the file.",
            dashboard=EXPORTER,
        ),
        Alert(
            name="FleetTLSInventoryIncomplete",
            severity=Severity.WARNING,
            scope=Scope.EXPORTER,
            expr=f"{_E}inventory_source_ok == 0 or {_E}inventory_dropped_entries > 0",
            for_s=values.fault_for,
            summary="targets of {{ $labels.source }} are not watched",
            description="{{ if $value }}{{ $value }} entries of {{ $labels.source }} cannot be"
            " used.{{ else }}{{ $labels.source }} could not be read; what it said before still"
            " rules.{{ end }} The log of {{ $labels.instance }} says which and why.",
            dashboard=EXPORTER,
        ),
        Alert(
            name="FleetTLSSeriesBudget",
            severity=Severity.WARNING,
            scope=Scope.EXPORTER,
            expr=f"{_E}series / {_E}series_budget > {values.series_percent / 100:g}",
            for_s=values.fault_for,
            summary="{{ $labels.instance }} has used {{ $value | humanizePercentage }} of its"
            " series budget",
            description="At 100% whole families of series are left out, the details first, and"
            " with them what alerts and dashboards are made of.",
            dashboard=EXPORTER,
        ),
    )
