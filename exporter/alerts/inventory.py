"""The inventory as the other rules join it."""

from exporter.alerts.model import Recording
from exporter.alerts.promql import DEVICES, TARGETS

INVENTORY = (
    Recording(
        name=TARGETS,
        labels=("job", "target", "role", "gateway", "device_class", "rollout_group"),
        why="One series for each target, also with two exporters side by side that do not agree\n"
        "for a moment: a join must not fail then. A gateway is its own gateway.",
        expr="""
topk by (job, target) (1,
  max by (job, target, role, gateway, device_class, rollout_group) (
    label_replace(fleet_tls_target_info{role="gateway"}, "gateway", "$1", "target", "(.*)")
    or fleet_tls_target_info{role="device"}
  )
)
""",
    ),
    Recording(
        name=DEVICES,
        labels=("job", "device", "gateway", "device_class", "rollout_group"),
        expr=f"""
max by (job, device, gateway, device_class, rollout_group) (
  label_replace({TARGETS}{{role="device"}}, "device", "$1", "target", "(.*)")
)
""",
    ),
)
