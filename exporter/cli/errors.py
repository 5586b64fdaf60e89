"""What to tell the operator when several things ended together."""

from exporter.errors import ExporterError


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that somebody can act on; the whole group where there is none."""
    told: BaseException | None = group.subgroup(ExporterError)
    if told is None:
        return group
    while isinstance(told, BaseExceptionGroup):
        told = told.exceptions[0]
    return told
