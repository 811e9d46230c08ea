"""A mail server or a webhook, as real as Python's index has them: what arrives is a line of JSON in a file.

receivers.py smtp|http PORT FILE [CERTIFICATE KEY USER PASSWORD]; port 0 is any. The port is printed."""

import http.server
import json
import socket
import ssl
import sys
import threading


def keep(path, arrived):
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(arrived) + "\n")


def context(certificate, key):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    return made


def smtp(port, path, tls):
    import email
    import email.policy
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    class Handler:
        async def handle_DATA(self, server, session, envelope):
            mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
            keep(path, {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "id": mail["Message-ID"].strip(),
                "subject": mail["Subject"],
                "text": mail.get_content(),
                "secure": session.ssl is not None,
            })
            return "250 taken"

    options = {}
    if tls:
        certificate, key, user, password = tls

        def knows(server, session, envelope, mechanism, data):
            is_known = (data.login, data.password) == (user.encode(), password.encode())
            return AuthResult(success=is_known, handled=False)

        options = {
            "tls_context": context(certificate, key), "require_starttls": True,
            "authenticator": knows, "auth_required": True,
        }
    controller = Controller(Handler(), hostname="0.0.0.0", port=port, **options)

    def own():
        return controller.server.sockets[0].getsockname()[1]

    # It would look whether it runs at the port that it was given, and 0 is none.
    controller._trigger_server = lambda: socket.create_connection(("127.0.0.1", own())).close()
    controller.start()
    return own()


def web(port, path, tls):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            keep(path, {"path": self.path, "headers": dict(self.headers), "body": body.decode()})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler)
    if tls:
        server.socket = context(*tls[:2]).wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


kind, port, path, *tls = sys.argv[1:]
print({"smtp": smtp, "http": web}[kind](int(port), path, tls), flush=True)
threading.Event().wait()
