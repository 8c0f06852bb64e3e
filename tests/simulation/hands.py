"""Somebody changes a target by hand: IT staff who mean well, and others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tests.simulation.policies import MANAGED, UNMANAGED
from tests.simulation.system import Account, System
from tests.simulation.world import World

WHO = "by hand"


def act(world: World, people: Iterable[str]) -> None:
    """One thing is done on one target."""
    system = world.systems[world.random.choice(sorted(world.systems))]
    acts: Sequence[Callable[[World, System, list[str]], str]]
    acts = (put, put, take) if system.implicit else (make, flood, flood, put, take, rename, switch, remove, foreign)
    world.counts["changes by hand"] += 1
    said = world.random.choice(acts)(world, system, list(people))
    world.trace.add(f"{WHO} {system.name}: {said}")


def provide(world: World, people: Iterable[str]) -> None:
    """Everybody who has no account gets one."""
    for system in world.systems.values():
        if not system.implicit:
            for person in people:
                if not any(system.of_person(person)):
                    _make(system, person)


def make(world: World, system: System, people: list[str]) -> str:
    """An account for whoever has none; seldom a second one."""
    without = [person for person in people if not any(system.of_person(person))]
    if not without and world.random.random() < 0.8:
        return "nothing to make"
    person = world.random.choice(without or people)
    return f"made {_make(system, person).name} for {person}"


def _make(system: System, person: str) -> Account:
    number = sum(each.op == "create-account" for each in system.log)
    name = f"u{person[1:]}" if system.by_name(f"u{person[1:]}") is None else f"u{person[1:]}-{number}"
    account = Account(f"{system.name}-{number}", name, name, person)
    system.create(account, WHO)
    return account


def put(world: World, system: System, people: list[str]) -> str:
    group = world.random.choice([*MANAGED[system.name], UNMANAGED])
    if system.implicit:
        person = world.random.choice(people)
        system.accounts.setdefault(person, Account(person, person, person, person))
        return f"put {person} into {group}: {system.grant(person, group, WHO)}"
    account = _some_account(world, system)
    return f"put {account.name} into {group}: {system.grant(account.key, group, WHO)}" if account else "nobody"


def flood(world: World, system: System, people: list[str]) -> str:
    """Two accounts at once, into a managed group, often the same one as before."""
    group = MANAGED[system.name][1] if world.random.random() < 0.6 else world.random.choice(MANAGED[system.name])
    keys = sorted(key for key in system.accounts if key != f"{system.name}-own")
    chosen = world.random.sample(keys, min(2, len(keys)))
    return f"put {chosen} into {group}: {[system.grant(key, group, WHO) for key in chosen]}"


def intrude(world: World, system: System, group: str) -> str:
    """Two accounts at once, into a group that they are not in."""
    keys = sorted(key for key in system.accounts if key != f"{system.name}-own" and not system.holds(key, group))
    chosen = world.random.sample(keys, min(2, len(keys)))
    for key in chosen:
        system.grant(key, group, WHO)
    return f"put {chosen} into {group}"


def take(world: World, system: System, people: list[str]) -> str:
    group = system.groups[world.random.choice([*MANAGED[system.name], UNMANAGED]).casefold()]
    if not group.members:
        return "nobody to take"
    name = world.random.choice(sorted(group.members))
    return f"took {name} out of {group.name}: {system.revoke(name, group.name, WHO)}"


def rename(world: World, system: System, people: list[str]) -> str:
    account = _some_account(world, system)
    if account is None:
        return "nobody to rename"
    old = account.name
    system.rename(account.key, f"{old}x" if len(old) < 8 else account.login.upper())
    return f"renamed {old} to {account.name}"


def switch(world: World, system: System, people: list[str]) -> str:
    account = _some_account(world, system)
    if account is None:
        return "nobody to switch"
    system.enable(account.key, WHO, enabled=not account.enabled)
    return f"{account.name} is {'enabled' if account.enabled else 'disabled'} now"


def remove(world: World, system: System, people: list[str]) -> str:
    account = _some_account(world, system)
    if account is None or world.random.random() < 0.5:
        return "nobody removed"
    system.delete(account.key, WHO, memberships=world.random.random() < 0.7)
    return f"removed {account.name}"


def foreign(world: World, system: System, people: list[str]) -> str:
    group = world.random.choice([*MANAGED[system.name], UNMANAGED])
    principal = f"guest-{world.random.randrange(3)}"
    system.put_foreign(group, principal)
    return f"put {principal} into {group}"


def _some_account(world: World, system: System) -> Account | None:
    keys = sorted(key for key in system.accounts if key != f"{system.name}-own")
    return system.accounts[world.random.choice(keys)] if keys else None
