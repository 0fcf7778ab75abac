"""The JSON Schema of recipes, for editors."""

from engine.recipe.base import NamedTable, Schema, Table, When, conditions
from engine.recipe.model import FAMILIES, TABLES, Recipe, refresh


def json_schema() -> Schema:
    """JSON Schema (2020-12) of a recipe file; unlike a resolved recipe, a file may extend another.

    A family of tables is ``oneOf`` its members, so that an editor offers the keys that do something there; a table
    that names none (its name is inherited, or the default) may have any of them.
    """
    refresh()
    schema = Recipe.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "medtui recipe"
    extends = {"type": "string", "description": "Another recipe, in the same folder, whose keys this one inherits."}
    schema["properties"] = {"extends": extends, **schema["properties"]}
    # What a recipe inherits it need not say, so a file on its own has to have nothing.
    schema["anyOf"] = [{"required": ["extends"]}, {"required": schema.pop("required")}]
    definitions = schema["$defs"]
    definitions["TrainTable"].pop("required", None)
    for table, family in FAMILIES.items():
        members = dict.fromkeys(member.__name__ for member in family.members.values())
        definitions[family.__name__] = _unnamed(family, [definitions[member] for member in members])
        branches = [{"$ref": f"#/$defs/{name}"} for name in (*members, family.__name__)]
        described = {"description": definitions[family.__name__]["description"]}
        if family.key == "task":
            schema["properties"][table] = described | branches[-1]
            continue
        for member in members:
            definitions[member]["required"] = [family.key]
        schema["properties"][table] = described | {"oneOf": branches}
    _add_conditions(schema)
    return schema


def _unnamed(family: type[NamedTable], members: list[Schema]) -> Schema:
    """A table of a family that does not say which member it is."""
    properties: Schema = {}
    for member in reversed(members):
        properties |= member["properties"]
    properties.pop(family.key, None)
    words = (family.__doc__ or "").partition("\n")[0]
    return {"type": "object", "description": words, "properties": properties, "additionalProperties": False}


def _add_conditions(schema: Schema) -> None:
    """What a key needs of one other key: of its own table there, of the task on top.

    In a recipe that extends none, also that one of the others is there, where all at their defaults leave it idle.
    """
    whole: dict[str, Schema] = {}
    by_task: dict[str, Schema] = {
        task: {
            table: {"$ref": f"#/$defs/{family.members[task].__name__}"}
            for table, family in FAMILIES.items()
            if family.key == "task"
        }
        for task in ("classification", "segmentation")
    }
    for table, kind in TABLES.items():
        members = {kind, *(FAMILIES[table].members.values() if table in FAMILIES else ())}
        for member in sorted(members, key=lambda member: member.__name__):
            for key in member.model_fields:
                for condition in conditions(member, key):
                    if needed := _needed(member, table, condition):
                        idle = whole.setdefault(table, {"dependentSchemas": {}})["dependentSchemas"]
                        idle[key] = {"anyOf": [{"required": [name]} for name in needed]}
                    place, _, decider = condition.keys[0].rpartition(".") if condition.keys else ("", "", "")
                    if condition.values and not place:
                        for task in set(by_task) - set(condition.values):
                            by_task[task].setdefault(table, {"properties": {}})["properties"][key] = False
                    elif condition.values and place == table:
                        needs = {"properties": {decider: {"enum": list(condition.values)}}}
                        schema["$defs"][member.__name__].setdefault("dependentSchemas", {})[key] = needs
    schema["allOf"] = [
        {"if": {"properties": {"task": {"const": task}}, "required": ["task"]}, "then": {"properties": tables}}
        for task, tables in sorted(by_task.items())
    ]
    schema["allOf"].append({"if": {"not": {"required": ["extends"]}}, "then": {"properties": whole}})


def _needed(member: type[Table], table: str, condition: When) -> list[str]:
    """The keys of ``member`` of which one must be given for ``condition``; none where defaults may do, or others."""
    names = [key.removeprefix(f"{table}.") for key in condition.keys]
    fields = [member.model_fields.get(name) for name in names]
    if any(field is None or field.is_required() for field in fields):
        return []
    defaults = dict(zip(condition.keys, (field.get_default() for field in fields if field), strict=True))
    return names if condition.holds(defaults.get) is False else []
