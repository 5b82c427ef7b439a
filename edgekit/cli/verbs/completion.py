"""Print the completion script of a shell."""

from __future__ import annotations

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@options.verb_options
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: edgekit completion bash > ~/.local/share/bash-completion/completions/edgekit
    zsh:  edgekit completion zsh > ~/.zfunc/_edgekit   (a folder of your $fpath)
    fish: edgekit completion fish > ~/.config/fish/completions/edgekit.fish
    """
    from edgekit.cli.completion import script

    output = context.ensure_object(Output)
    if output.as_json:
        output.document({"script": script(shell)})
    else:
        output.script(script(shell))
