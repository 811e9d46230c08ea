"""A mail server or a webhook, as real as Python's index has them: what arrives is a line of JSON in a file.

receivers.py smtp|smtps|smtps12|http|http12 PORT FILE [CERTIFICATE KEY [USER PASSWORD]]; port 0 is any. The port is
printed. smtps speaks TLS from the first byte on, 12 means TLS 1.2 at most. Without a user, never@... is never taken, and
later@... not with the first message."""

import http.server
import json
import socket
import ssl
import sys
import threading


def keep(path, arrived):
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(arrived) + "\n")


def context(certificate, key, most=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    if most:
        made.maximum_version = most
    return made


def smtp(port, path, tls, most=None, implicit=False):
    import email
    import email.policy
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    class Handler:
        taken = 0

        async def handle_RCPT(self, server, session, envelope, address, options):
            if address.startswith("never@"):
                return "550 5.1.1 nobody of that name"
            if address.startswith("later@") and not Handler.taken:
                return "450 4.2.0 greylisted"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, server, session, envelope):
            Handler.taken += 1
            mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
            keep(path, {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "id": mail["Message-ID"].strip(),
                "subject": mail["Subject"],
                "text": mail.get_content(),
                "secure": session.ssl is not None,
                "tls": version(server),
            })
            return "250 taken"

    def version(server):
        found = server.transport.get_extra_info("ssl_object")
        return found.version() if found else None

    options = {}
    if implicit:
        options = {"ssl_context": context(*tls, most=most)}
    elif tls:
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

    # It would look whether it runs at the port that it was given, and 0 is none. With TLS it is made by the first who
    # connects, who has to go on until there is some.
    def look():
        with socket.create_connection(("127.0.0.1", own())) as plain:
            if implicit:
                blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
                blind.wrap_socket(plain).close()

    controller._trigger_server = look
    controller.start()
    return own()


def web(port, path, tls, most=None):
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
        server.socket = context(*tls[:2], most=most).wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


kind, port, path, *tls = sys.argv[1:]
old = ssl.TLSVersion.TLSv1_2
kinds = {
    "smtp": smtp,
    "smtps": lambda *of: smtp(*of, implicit=True),
    "smtps12": lambda *of: smtp(*of, most=old, implicit=True),
    "http": web,
    "http12": lambda *of: web(*of, most=old),
}
print(kinds[kind](int(port), path, tls), flush=True)
threading.Event().wait()
