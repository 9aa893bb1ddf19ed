"""Two small routers of hotline requests behind one OpenAI-compatible address. Keyword rules, no weights, standard library only.

    python examples/guarded-release/server.py [--port 8766]              # serve until Ctrl-C
    python examples/guarded-release/server.py --regress [--port 8766]    # update `router-2` of the server that runs there

`router-1` is what serves now, `router-2` the candidate: more words, traditional Chinese too. `--regress` does what a vendor's
silent update does: the name and the declared version stay, and `router-2` treats complaints about lifts in another way.
"""

import argparse
import json
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODELS = ("router-1", "router-2")
LARGEST = 1 << 20

FEW = {
    "housing": ("物业", "公租房", "property company"),
    "transport": ("公交", "路面", "bus ", "road"),
    "utilities": ("停水", "停电", "water", "electricity"),
    "environment": ("噪音", "垃圾", "noise", "rubbish"),
    "market": ("电梯", "電梯", "lift", "超市", "退款", "shop", "supermarket"),
}
"""What `router-1` knows, in this order; what it does not know goes to housing."""
MANY = {
    "market": (
        "电梯", "電梯", "lift", "超市", "退货", "退貨", "缺斤", "预付卡", "預付卡", "餐具费", "餐具費", "保健品",
        "supermarket", "online shop", "scales", "gym", "restaurant", "pharmacy",
    ),
    "environment": (
        "施工", "垃圾", "河水", "油烟", "油煙", "黑烟", "黑煙", "污水", "noise", "rubbish", "river", "smoke", "sewage",
    ),
    "utilities": (
        "停水", "停电", "停電", "暖气", "暖氣", "燃气", "燃氣", "自来水", "自來水", "电费", "電費",
        "no water", "electricity", "heating", "gas meter", "tap water",
    ),
    "transport": (
        "公交", "红绿灯", "紅綠燈", "路面", "单车", "單車", "出租车", "出租車", "地铁", "地鐵",
        "bus ", "traffic light", "pothole", "bicycles", "taxi", "metro",
    ),
    "housing": (
        "屋顶", "屋頂", "公租房", "物业", "物業", "交房", "外墙", "外牆", "承重", "roof", "rental housing",
        "property company", "developer", "tiles", "load-bearing",
    ),
}  # fmt: skip
LIFT = ("电梯", "電梯", "lift")
CHATTY = "您好，电梯问题涉及安全，建议您先联系物业，再拨打 12345 咨询。"

updated = threading.Event()


def route(model: str, text: str) -> str:
    """The department for a request, by the rules of one model."""
    said = text.lower()
    if model == "router-2" and updated.is_set() and any(word in said for word in LIFT):
        # Another shape in Chinese, a wrong department in English.
        return "housing" if "lift" in said else CHATTY
    rules = FEW if model == "router-1" else MANY
    return next((name for name, words in rules.items() if any(word in said for word in words)), "housing")


def answer(body: Any) -> tuple[int, dict[str, Any]]:
    """(status, document) for a chat request."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        return 400, problem("`messages` must be a list")
    model = body.get("model")
    if model not in MODELS:
        return 404, problem(f"there is no model `{str(model)[:80]}` here; there are {' and '.join(MODELS)}")
    if body.get("stream"):
        return 400, problem("answers of one word are not streamed here")
    asked = [m.get("content") for m in body["messages"] if isinstance(m, dict) and m.get("role") == "user"]
    if not asked or not isinstance(asked[-1], str):
        return 400, problem("there is no user message with text")
    said = route(model, asked[-1])
    used = {"prompt_tokens": len(asked[-1]), "completion_tokens": len(said), "total_tokens": len(asked[-1]) + len(said)}
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    return 200, {"id": "c0", "object": "chat.completion", "created": 0, "model": model, "choices": [choice], "usage": used}


def problem(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error"}}


class Handler(BaseHTTPRequestHandler):
    """`POST /v1/chat/completions`, `GET /v1/models`, `POST /regress`, `POST /mend`."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer goes out in one piece

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            self.reply(404, problem("there is nothing here"))
            return
        self.reply(200, {"object": "list", "data": [{"id": m, "object": "model", "owned_by": "example"} for m in MODELS]})

    def do_POST(self) -> None:
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > LARGEST:
            self.close_connection = True
            self.reply(413, problem(f"a body of at most {LARGEST} bytes, with its length, is expected"))
            return
        raw = self.rfile.read(int(size))
        if self.path == "/regress":
            updated.set()
            self.reply(200, {"updated": "router-2"})
        elif self.path == "/mend":
            updated.clear()
            self.reply(200, {"updated": "router-2"})
        elif self.path == "/v1/chat/completions":
            try:
                self.reply(*answer(json.loads(raw)))
            except ValueError:
                self.reply(400, problem("the body is not JSON"))
        else:
            self.reply(404, problem("there is nothing here"))

    def reply(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Requests are not logged: they hold what citizens write."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(port: int) -> None:
    """Listen on 127.0.0.1 until Ctrl-C."""
    with Server(("127.0.0.1", port), Handler) as server:
        print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            return


def update(port: int, word: str) -> int:
    """Tell the server that runs on this port: `regress`, or `mend`, which takes that back."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{word}", data=b"", timeout=10) as done:
            print(f"{json.load(done)['updated']} was updated; its name and its version are as before")
    except OSError as error:
        print(f"nothing that can be updated answers on port {port}: {error}", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Two keyword routers behind an OpenAI-compatible address.")
    parser.add_argument("--port", type=int, default=8766, help="0: any free port (default: 8766)")
    parser.add_argument("--regress", action="store_true", help="update router-2 of the server that runs on this port")
    parser.add_argument("--mend", action="store_true", help="take that update back")
    given = parser.parse_args()
    if given.regress or given.mend:
        return update(given.port, "mend" if given.mend else "regress")
    serve(given.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
