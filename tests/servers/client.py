"""Plays a list of tool calls through the official Python client, and prints what it saw as one line of JSON.

    client.py MODE CALLS COMMAND [ARGUMENT...]

MODE is how the protocol version is chosen: `legacy` for the initialize handshake, a date such as `2026-07-28` for that
version without asking first, `auto` to let the client find out. CALLS is a file with a JSON list of objects with a `tool`
and its `arguments`. COMMAND starts the server; it inherits the working directory and the environment of this script.
"""

import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters

TIMEOUT = 60


async def play(mode, calls, command, arguments):
    parameters = StdioServerParameters(command=command, args=arguments, env=dict(os.environ))
    async with Client(parameters, mode=mode, read_timeout_seconds=TIMEOUT) as client:
        # A list never waits for a slow server, a call waits for its own: after the calls, the list is whole.
        results = [await result(client, call) for call in calls]
        return {"protocol_version": client.protocol_version, "tools": await tools(client), "results": results}


async def tools(client):
    names, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor, cache_mode="refresh")
        names += [tool.name for tool in page.tools]
        cursor = page.next_cursor
        if cursor is None:
            return names


async def result(client, call):
    """A result in the protocol's own words."""
    seen = await client.call_tool(call["tool"], call["arguments"])
    return seen.model_dump(mode="json", by_alias=True, exclude_none=True)


def main():
    mode, calls, command, *arguments = sys.argv[1:]
    with open(calls, encoding="utf-8") as file:
        seen = asyncio.run(play(mode, json.load(file), command, arguments))
    print(json.dumps(seen))


main()
