"""Use the trained personas: `traitlab chat`, `traitlab serve`, `traitlab export`, in the project's root folder.

A persona is named by its trait; strengths and mixtures go with it: extraversion, extraversion:0.7+openness:0.3,
steering/openness:0.5, prompt/agreeableness, base.
"""
import argparse
import sys

from tasks.__main__ import BAD_INPUT, Parser
from tasks.environment import quiet, use_threads
from traitlab.errors import InputError
from traitlab.traits import TRAITS


def parser() -> Parser:
    top = Parser(prog="traitlab", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chat = commands.add_parser("chat", help="talk to a persona in the terminal")
    export = commands.add_parser("export", help="write a persona as one merged model, in safetensors or GGUF")
    for command in (chat, export):
        command.add_argument("--trait", choices=TRAITS, help="default: the base model")
        command.add_argument("--strength", type=float, default=1.0, help="of the trait; default 1, as trained")
        command.add_argument("--mix", action="append", default=[], metavar="TRAIT=STRENGTH", help="and another trait")
    chat.add_argument("--method", choices=("qlora", "steering", "prompt"), default="qlora")
    chat.add_argument("--seed", type=int, default=0)
    export.add_argument("--to", required=True, metavar="FOLDER", help="where the model goes")
    export.add_argument("--gguf", action="store_true", help="write model.gguf, too")
    serve = commands.add_parser("serve", help="an OpenAI-compatible server; the model's name selects the persona")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)
    return top


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    quiet()
    try:
        from traitlab.params import load
        from use.voices import named

        params = load()
        use_threads(params.compute.threads)
        if options.command == "serve":
            from use.serve import run

            run(params, options.host, options.port)
            return 0
        name = named(options.trait, options.strength, options.mix, getattr(options, "method", "qlora"))
        if options.command == "chat":
            from use.chat import run

            run(params, name, options.seed)
        else:
            from use.export import run

            run(params, name, options.to, options.gguf)
    except InputError as e:
        print(f"{options.command}: {e}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
