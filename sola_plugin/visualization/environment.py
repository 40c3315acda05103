"""How the HTML templates of this package are read: everything is escaped, nothing may be
missing."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def template_environment() -> Environment:
    """Environment of the templates in ``visualization/templates``."""
    return Environment(
        loader=PackageLoader('sola_plugin.visualization'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
