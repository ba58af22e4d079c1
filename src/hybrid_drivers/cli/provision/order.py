"""From a template's file and the options of ``create`` to an order, everything checked before anything is made."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from hybrid_drivers.cli.output import printable
from hybrid_drivers.config import Location
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.plan import Specs
from hybrid_drivers.provision.record import Record, Wishes
from hybrid_drivers.provision.runs import Order
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.surroundings import (
    check_name,
    environment_of,
    provider_names,
    taken_names,
    with_provider_inputs,
)
from hybrid_drivers.provision.template.inputs import collect, parse_user_inputs
from hybrid_drivers.provision.template.load import find_template, load_template, read_template
from hybrid_drivers.provision.template.model import InputSpec, Problem, ProvisionTemplate, TemplateError
from hybrid_drivers.provision.template.render import with_inputs
from hybrid_drivers.provision.template.validate import validate


def ordered(site: Site, file: Path, name: str, wishes: Wishes, user_inputs: str, *, ask: bool) -> Order:
    """Return what ``create FILE`` asks for.

    Raises:
        TemplateError: all that is wrong with the template.
        ConfigError: a value of an input is missing or wrong.
    """
    file = _found(file, site.templates)
    template = with_provider_inputs(site, load_template(file, site.templates), wishes.provider)
    inputs = _inputs(template, parse_user_inputs(user_inputs), ask=ask)
    order = _order(site, template, inputs, wishes, name=name, source=file)
    known = next((one for one in site.store.known() if one.name == order.name), None)
    _refuse(taken_names(site, order.template, order.name, site.store.read(known.id) if known else None))
    return order


def reordered(site: Site, record: Record, file: Path | None, user_inputs: str, provider: str) -> Order | None:
    """Return what a provision is to become by ``FILE``; None: it has its own template. Inputs keep their values.

    Raises:
        TemplateError, ConfigError: as :func:`ordered`.
    """
    if file is None:
        if user_inputs or provider:
            raise ConfigError("--user-inputs and --provider belong to a template: name its file")
        return None
    file, chosen = _found(file, site.templates), provider or record.wishes.provider
    template = with_provider_inputs(site, load_template(file, site.templates), chosen)
    known = {one.name for one in template.inputs}
    kept = {key: value for key, value in record.inputs.items() if key in known}
    inputs = _inputs(template, {**kept, **parse_user_inputs(user_inputs)}, ask=False)
    wishes = replace(record.wishes, provider=chosen)
    order = _order(site, template, inputs, wishes, name=record.name, source=file)
    _refuse(taken_names(site, order.template, record.name, record))
    return order


def checked(site: Site | None, file: Path, user_inputs: str, provider: str) -> ProvisionTemplate:
    """Return a template after all checks; without ``site`` those that need no front-end.

    Raises:
        TemplateError: everything that is wrong with it.
    """
    search = site.templates if site else Location.from_environment(os.environ).templates
    template, problems = read_template(_found(file, search), search)
    if template is None:
        raise TemplateError(problems)
    template = with_provider_inputs(site, template, provider) if site else template
    found = validate(template, environment_of(site, provider) if site else None, parse_user_inputs(user_inputs))
    taken = taken_names(site, template, template.name, None) if site else []
    _refuse([*problems, *found, *taken])
    return template


def _found(file: Path, search: Sequence[Path]) -> Path:
    """Return where the template is, and say so when it is a shared one that was named without its folder."""
    found = find_template(file, search)
    if found != file:
        click.echo(printable(f"{file} is {found}"), err=True)
    return found


def _order(
    site: Site, template: ProvisionTemplate, inputs: Mapping[str, str], wishes: Wishes, *, name: str, source: Path
) -> Order:
    _refuse(validate(template, environment_of(site, wishes.provider), inputs))
    template = with_inputs(template, inputs)
    names = provider_names(Specs.of(template).by_kind["hosts"], template, wishes.provider)
    return Order(
        template=template,
        name=check_name(name or template.name),
        inputs=inputs,
        wishes=wishes,
        source=str(source.absolute()),
        providers=",".join(names),
    )


def _inputs(template: ProvisionTemplate, given: Mapping[str, str], *, ask: bool) -> dict[str, str]:
    return collect(template.inputs, given, _ask if ask and sys.stdin.isatty() else None)


def _ask(spec: InputSpec) -> str:
    shown = f" [{', '.join(spec.options)}]" if spec.options else ""
    text = printable(f"{spec.description or spec.name}{shown}")
    secret = spec.type == "password"
    answer: str = click.prompt(
        text, default=spec.default or "", hide_input=secret, show_default=bool(spec.default) and not secret, err=True
    )
    return answer


def _refuse(problems: Iterable[Problem]) -> None:
    found = sorted(set(problems), key=lambda one: (one.file, one.line, one.key))
    if found:
        raise TemplateError(found)
