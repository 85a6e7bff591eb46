"""Walks through one server with the official Python client, and prints what it saw as one line of JSON.

    walk.py MODE http URL
    walk.py MODE stdio COMMAND [ARGUMENT...]

MODE is `legacy` for the initialize handshake, or a date such as `2026-07-28`. What is seen of a server must not depend on
what stands between it and the client: `tests/it/real_servers/walk.rs` compares. `walk.mjs` is the same for TypeScript.
"""

import asyncio
import json
import os
import sys

from mcp import Client, MCPError, StdioServerParameters
from mcp_types import ElicitResult, PromptReference

TIMEOUT = 30


def target(kind, first, *rest):
    if kind == "http":
        return first
    return StdioServerParameters(command=first, args=list(rest), env=dict(os.environ))


async def seen(work):
    """A result, or an error, in the protocol's own words."""
    try:
        return (await work).model_dump(mode="json", by_alias=True, exclude_none=True)
    except MCPError as error:
        return {"error": error.error.model_dump(mode="json", by_alias=True, exclude_none=True)}


async def walk(mode, place):
    questions, steps = [], []

    async def answer(_context, params):
        questions.append(params.model_dump(mode="json", by_alias=True, exclude_none=True))
        return ElicitResult(action="accept", content={"name": "Ada"})

    async def progress(done, total, message):
        steps.append([done, total, message])

    async with Client(place, mode=mode, read_timeout_seconds=TIMEOUT, elicitation_callback=answer) as client:
        call = client.call_tool
        saw = {
            "version": client.protocol_version,
            "tools": await seen(client.list_tools()),
            "structured": await seen(call("echo", {"n": 1, "deep": {"text": "é", "list": [1.5, None, True]}})),
            "failed": await seen(call("fail", {"message": "the shelf is empty"})),
            "refused": await seen(call("rpc_error", {})),
            "unknown": await seen(call("no_such_tool", {})),
            "reported": await seen(call("progress", {"n": 3, "ms": 50}, progress_callback=progress)),
            "steps": steps,
            "prompts": await seen(client.list_prompts()),
            "prompt": await seen(client.get_prompt("greet", {"who": "Ada"})),
            "resources": await seen(client.list_resources()),
            "templates": await seen(client.list_resource_templates()),
            "resource": await seen(client.read_resource("fixture://readme")),
            "item": await seen(client.read_resource("fixture://item/42")),
            "missing": await seen(client.read_resource("fixture://missing")),
            "completed": await seen(
                client.complete(PromptReference(type="ref/prompt", name="greet"), {"name": "who", "value": "A"})
            ),
            "asked": await seen(call("ask", {"message": "Your name?"})),
            "questions": questions,
        }
        hanging = asyncio.create_task(call("hang", {}))
        await asyncio.sleep(0.3)
        hanging.cancel()
        saw["given_up"] = isinstance((await asyncio.gather(hanging, return_exceptions=True))[0], BaseException)
        for _ in range(200):
            told = (await call("cancelled", {})).structured_content["ids"]
            if told:
                break
            await asyncio.sleep(0.02)
        saw["told"] = len(told)
        return saw


def main():
    mode, *place = sys.argv[1:]
    print(json.dumps(asyncio.run(asyncio.wait_for(walk(mode, target(*place)), TIMEOUT))))


main()
