"""What LangChain gets from a gateway, as one JSON document: python langchain_client.py URL KEY. It has packages of its own."""

import asyncio
import json
import sys

import openai
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return city


async def leave(chat: ChatOpenAI) -> str:
    """The first piece of a stream that is closed after it."""
    stream = chat.astream("slow")
    first = await anext(stream)
    await stream.aclose()
    return str(first.content)


def main() -> None:
    url, key = sys.argv[1:]
    chat = ChatOpenAI(base_url=url, api_key=key, model="m", temperature=0)
    call = chat.bind_tools([weather]).invoke("use a tool").tool_calls[0]
    embeddings = OpenAIEmbeddings(base_url=url, api_key=key, model="m", check_embedding_ctx_length=False)
    try:
        ChatOpenAI(base_url=url, api_key=key, model="nobody").invoke("hello")
        error = "none"
    except openai.NotFoundError as caught:
        error = str(caught.code)
    told = chat.invoke("hello")
    found = {
        "chat": told.content,
        "counted": [told.usage_metadata["input_tokens"], told.usage_metadata["output_tokens"]],
        "stream": "".join(str(piece.content) for piece in chat.stream("hello")),
        "tool": [call["name"], call["args"]],
        "embedding": embeddings.embed_query("hello"),
        "error": error,
        "left": asyncio.run(leave(chat)),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
