"""``medtui tail``: what ``medtui attach user@host`` starts at the other end of an ssh."""

from tui.arguments import Commands, runs_option


def register(commands: Commands) -> None:
    def perform(arguments: object) -> int:
        from tui.remote.far import tail

        return tail(arguments.runs)  # type: ignore[attr-defined]

    text = "Say what changes in a folder of runs, as JSON lines. Started over ssh by medtui attach user@host."
    runs_option(commands.add("tail", text, perform))
