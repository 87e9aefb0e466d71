"""A server on loopback that speaks the chat completions protocol, and can be made to misbehave in every way."""
import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "secret-7f3a"


class Server(ThreadingHTTPServer):
    """Answers chat completions; `troubles` are names of `Handler` methods, each met by one request, in order."""

    def __init__(self, answer, troubles=(), wait=0.0, finish="stop"):
        super().__init__(("127.0.0.1", 0), Handler)
        self.troubles, self.answer, self.wait, self.finish = list(troubles), answer, wait, finish
        self.bodies, self.keys, self.lock = [], set(), threading.Lock()
        self.under_way = self.most_under_way = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.bodies.append(body)
            server.keys.add(self.headers["Authorization"])
            server.under_way += 1
            server.most_under_way = max(server.most_under_way, server.under_way)
            trouble = server.troubles.pop(0) if server.troubles else None
        try:
            if trouble:
                getattr(self, trouble)()
            else:
                time.sleep(server.wait)
                self.say(completion(server.answer(body), server.finish))
        finally:
            with server.lock:
                server.under_way -= 1

    def say(self, content, status=200, kind="application/json", **headers):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def busy(self):
        self.say({"error": {"message": "slow down"}}, 429)

    def busy_for_a_second(self):
        self.say({"error": {"message": "slow down"}}, 429, Retry_After="1")

    def broken(self):
        self.say(b"oops", 500, "text/plain")

    def overloaded(self):
        self.say({"error": {"message": "overloaded"}}, 503)

    def hang(self):
        time.sleep(6)
        self.close_connection = True

    def drip(self):
        """Headers and a byte a second: no read times out, yet no reply comes."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        with suppress(OSError):  # the client has gone
            for _ in range(6):
                self.wfile.write(b" ")
                time.sleep(1)
        self.close_connection = True

    def html(self):
        self.say(b"<!DOCTYPE html><html>Please log in</html>", 200, "text/html")

    def html_called_json(self):
        self.say(b"<html>busy</html>")

    def another_schema(self):
        self.say({"result": "fine"})

    def no_choices(self):
        self.say({"object": "chat.completion", "choices": []})

    def numbers_for_text(self):
        self.say({"choices": [{"message": {"content": 7}}]})

    def a_list(self):
        self.say([1, 2])

    def cut_off(self):
        self.say(b'{"choices": [{"mess')

    def not_text(self):
        self.say(b"\xff\xfe\x00{")

    def hang_up(self):
        self.close_connection = True
        self.connection.close()

    def forbidden(self):
        self.say({"error": {"message": f"wrong key {KEY}"}}, 401)

    def log_message(self, *_):
        pass


def completion(text, finish):
    return {"id": "1", "object": "chat.completion", "model": "m", "created": 1,
            "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}}
