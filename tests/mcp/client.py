"""A session of the PyPI client `mcp`, which does what it is told line by line.

    client.py MODE http URL        the token is in MCP_TOKEN
    client.py MODE stdio PROGRAM WORD...

MODE is `legacy` for protocol 2025-11-25, or the version of a newer one. Each line of input is JSON, `{"do": "list"}`,
`{"do": "call", "name": …, "arguments": …}` or `{"do": "read", "uri": …}`; each is answered with a line of JSON.
"""

import asyncio
import json
import os
import sys

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


async def does(client, wish):
    match wish["do"]:
        case "list":
            return (await client.list_tools(cache_mode="bypass")).model_dump(mode="json", by_alias=True, exclude_none=True)
        case "call":
            answer = await client.call_tool(wish["name"], wish["arguments"])
            return answer.model_dump(mode="json", by_alias=True, exclude_none=True)
        case "read":
            answer = await client.read_resource(wish["uri"], cache_mode="bypass")
            return answer.model_dump(mode="json", by_alias=True, exclude_none=True)
        case other:
            raise ValueError(other)


async def session(client):
    async with client:
        for line in iter(sys.stdin.readline, ""):
            try:
                answer = await does(client, json.loads(line))
            except MCPError as error:
                answer = {"error": str(error)}
            print(json.dumps(answer), flush=True)


async def main():
    mode, transport, at, *words = sys.argv[1:]
    if transport == "stdio":
        await session(Client(StdioServerParameters(command=at, args=words, env=dict(os.environ)), mode=mode))
        return
    token = {"authorization": f"Bearer {os.environ['MCP_TOKEN']}"}
    async with httpx2.AsyncClient(headers=token, timeout=60, trust_env=False) as http:
        await session(Client(streamable_http_client(at, http_client=http), mode=mode))


asyncio.run(main())
