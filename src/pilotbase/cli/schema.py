"""`pilotbase schema`."""

import argparse
import sys

import orjson

from pilotbase.spec.schema import json_schema


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print the JSON Schema of pilot.yaml, for editors."


def main(given: argparse.Namespace) -> int:
    sys.stdout.buffer.write(orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return 0
