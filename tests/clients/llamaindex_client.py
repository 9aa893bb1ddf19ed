"""What LlamaIndex gets from a gateway, as one JSON document: python llamaindex_client.py URL KEY. It has packages of its own."""

import asyncio
import json
import sys

import openai
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike


def weather(city: str) -> str:
    """The weather of a city."""
    return city


def asked(text: str) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=text)]


async def leave(chat: OpenAILike) -> str:
    """The first piece of a stream that is closed after it."""
    stream = await chat.astream_chat(asked("slow"))
    async for piece in stream:
        await stream.aclose()
        return piece.delta or ""
    return ""


def main() -> None:
    url, key = sys.argv[1:]

    def model(name: str) -> OpenAILike:
        return OpenAILike(
            model=name, api_base=url, api_key=key, is_chat_model=True, is_function_calling_model=True, max_retries=0
        )

    chat = model("m")
    answer = chat.chat_with_tools([FunctionTool.from_defaults(weather)], user_msg="use a tool")
    call = chat.get_tool_calls_from_response(answer)[0]
    embedding = OpenAILikeEmbedding(model_name="m", api_base=url, api_key=key)
    try:
        model("nobody").chat(asked("hello"))
        error = "none"
    except openai.NotFoundError as caught:
        error = str(caught.code)
    told = chat.chat(asked("hello"))
    found = {
        "chat": told.message.content,
        "counted": [told.raw.usage.prompt_tokens, told.raw.usage.completion_tokens],
        "stream": "".join(piece.delta or "" for piece in chat.stream_chat(asked("hello"))),
        "tool": [call.tool_name, call.tool_kwargs],
        "embedding": embedding.get_text_embedding("hello"),
        "error": error,
        "left": asyncio.run(leave(chat)),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
