"""What every table of a recipe is made of: strict models, families of them, and keys with conditions.

A *family* is a table whose keys depend on a name: ``[loss]`` by ``loss.name``, ``[data]`` by ``data.source``,
``[evaluate]`` by the recipe's ``task``. Each member is a class of its own with the keys that do something there, and
registers itself where it is written.
A key that does something only beside certain values of other keys says so with `When`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, le=1e6)]
NotNegative = Annotated[float, Field(ge=0.0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
ClassName = Annotated[str, Field(min_length=1, max_length=80)]
RelativePath = Annotated[str, Field(min_length=1, max_length=1000, json_schema_extra={"format": "path"})]
"""Refused where it leaves its root (``format`` marks it)."""

Values: TypeAlias = dict[str, Any]
"""Keys and values of TOML, as they were written."""
Schema: TypeAlias = dict[str, Any]
"""A JSON Schema, or a part of one."""

SEGMENTATION = frozenset({"segmentation"})
CLASSIFICATION = frozenset({"classification"})


class Table(BaseModel):
    """Strict: no unknown key, no silent conversion (``"3"`` is not 3; 1 is a fine 1.0)."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def _describe_key(schema: Schema, cls: type[NamedTable]) -> None:
    """The key of a member is documented by the docstring of its class."""
    if cls.key in schema["properties"]:
        schema["properties"][cls.key]["description"] = schema.get("description", "")


class NamedTable(Table):
    """A member of a family of tables; a direct subclass is a family.

    A call of the family makes the member that its key says: ``LossTable(name="focal")`` is a ``FocalTable``.

    Attributes:
        key: the key that says which member it is. In a member it is a `typing.Literal`, with a default in the one
            member that stands where nothing is said. Or ``task``: the recipe's, which is no key of the table.
        tasks: what the member can be used for.
        members: of the family, by every value of the key.
        harmless: keys that scripts set over recipes of every kind, and the value of each that is true of members
            without the key too; it may be said of them.
    """

    model_config = ConfigDict(json_schema_extra=_describe_key)

    key: ClassVar[str] = "name"
    tasks: ClassVar[frozenset[str]] = SEGMENTATION | CLASSIFICATION
    harmless: ClassVar[Values] = {}
    members: ClassVar[dict[str, type[NamedTable]]]

    def __new__(cls, *_: Any, **values: Any) -> Self:
        """The member that ``values`` name, where the class itself is none."""
        if cls is NamedTable or cls in cls.members.values():
            return super().__new__(cls)
        name = values.get(cls.key, cls.default())
        if name not in cls.members:
            raise ValueError(f"{cls.__name__}: found {name!r}, known are {', '.join(cls.members)}")
        member: type[Any] = cls.members[name]
        made: Self = super().__new__(member)
        return made

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        if NamedTable in cls.__bases__:
            cls.members = {}
        named = cls.model_fields.get(cls.key)
        for name in get_args(named.annotation) if named else cls.tasks if cls.key == "task" else ():
            if cls.members.setdefault(name, cls) is not cls:
                raise TypeError(f'there is a table "{name}" already: {cls.members[name].__module__}')

    @classmethod
    def default(cls) -> str | None:
        """The name of the member that stands where the recipe names none; None where it must name one."""
        fields = (member.model_fields.get(cls.key) for member in cls.members.values())
        found = (field.get_default() for field in fields if field)
        return next((name for name in found if isinstance(name, str)), None)

    @classmethod
    def decider(cls, table: str) -> str:
        """The full name of the key that says which member ``table`` is."""
        return cls.key if cls.key == "task" else f"{table}.{cls.key}"

    @classmethod
    def chosen(cls, values: Values) -> type[NamedTable] | None:
        """The member that raw ``values`` name: of the table, or of the recipe where its task decides."""
        name = values.get(cls.key, cls.default())
        return cls.members.get(name) if isinstance(name, str) else None

    @classmethod
    def owners(cls, key: str) -> list[str]:
        """Names of the members that have ``key``."""
        return [name for name, member in cls.members.items() if key in member.model_fields]


class Members:
    """Makes a field of the recipe take any member of its family: a discriminated union, by the family's key."""

    def __get_pydantic_core_schema__(self, source: type[NamedTable], handler: GetCoreSchemaHandler) -> CoreSchema:
        members = source.members.items()
        choices: dict[Any, CoreSchema] = {name: handler.generate_schema(member) for name, member in members}
        if source.key == "task":
            return _by_task(choices)

        def name_of(value: Any) -> str | None:
            if not isinstance(value, dict):
                return str(getattr(value, source.key, next(iter(choices))))
            name = value.get(source.key, source.default())
            return name if isinstance(name, str) or name is None else repr(type(name))

        return core_schema.tagged_union_schema(choices, name_of)


def _by_task(choices: dict[Any, CoreSchema]) -> CoreSchema:
    """The union by the recipe's ``task``, a field before it; a recipe with a bad one is judged as the first."""

    def with_task(value: Any, info: core_schema.ValidationInfo) -> tuple[Any, Any]:
        return info.data.get("task", next(iter(choices))), value

    def task_of(value: Any) -> Any:
        return value[0] if isinstance(value, tuple) else next(iter(value.tasks))

    alone: dict[Any, CoreSchema] = {
        task: core_schema.no_info_before_validator_function(lambda pair: pair[1], member)
        for task, member in choices.items()
    }
    return core_schema.with_info_before_validator_function(with_task, core_schema.tagged_union_schema(alone, task_of))


@dataclass(frozen=True, slots=True)
class When:
    """A key does something only beside certain values of others. Stands in the ``Annotated`` of its field."""

    keys: tuple[str, ...]  # those others, with their tables
    # whether their values give it a meaning; None where that shows only when the data is opened
    test: Callable[..., bool | None]
    words: str  # what gives it a meaning
    values: tuple[Any, ...] = ()  # where one key decides: the values of it that do

    def holds(self, lookup: Callable[[str], Any]) -> bool | None:
        """The test with values from ``lookup``; None too where one of them is of a wrong type."""
        try:
            return self.test(*map(lookup, self.keys))
        except TypeError:
            return None


def only(key: str, *values: Any) -> When:
    """The condition that ``key`` has one of ``values``."""
    named = " or ".join(f'"{value}"' for value in values)
    return When((key,), lambda value: value in values, f"{key} = {named}", values)


def any_of(*keys: str) -> When:
    """The condition that one of ``keys`` is set, and not off."""
    return When(keys, lambda *values: any(values), " or ".join(keys))


def above(key: str, least: int = 0) -> When:
    """The condition that ``key`` is greater than ``least``."""
    return When((key,), lambda value: value > least, f"{key} above {least}")


def conditions(table: type[Table], name: str) -> tuple[When, ...]:
    """The conditions under which the key ``name`` of ``table`` does something."""
    return tuple(item for item in table.model_fields[name].metadata if isinstance(item, When))
