"""The hosted pay page: what a customer's browser sees."""

from html import escape
from string import Template

from aiohttp import web

from deploy.local.sandbox_provider.journal import Row
from deploy.local.sandbox_provider.money import format_amount
from deploy.local.sandbox_provider.sessions import Sessions

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #0b6e4f; --bad: #b3261e; }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
       font: 16px/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 26rem; border: 1px solid var(--line); border-radius: 14px; padding: 1.75rem }
h1 { font-size: 2.2rem; margin: .2rem 0; font-variant-numeric: tabular-nums }
p { margin: .35rem 0 }
.small { font-size: .85rem; opacity: .75; overflow-wrap: anywhere }
.note { background: var(--soft); border-left: 4px solid var(--accent); padding: .6rem .8rem; margin: 1rem 0;
        border-radius: 4px }
.note.bad { border-color: var(--bad) }
form { display: grid; gap: .6rem; margin-top: 1.2rem }
button { font: inherit; padding: .7rem 1rem; border-radius: 9px; border: 1px solid var(--line);
         background: transparent; color: inherit; cursor: pointer }
button:hover { background: var(--soft) }
button.pay { background: var(--accent); border-color: var(--accent); color: #fff; font-weight: 600 }
</style>
</head>
<body>
<main data-state="$state">
<p class="small">Sandbox payment provider: no real money moves here</p>
<h1>$amount</h1>
<p class="small">Order $order_id</p>
$body
</main>
</body>
</html>
""")

_BUTTONS = """<form method="post">
<button class="pay" name="action" value="pay">Pay</button>
<button name="action" value="refuse">Card refused: try again</button>
<button name="action" value="decline">Decline for good</button>
<button name="action" value="walk_away">Walk away</button>
</form>"""

_NOTES = {
    "refused": '<p class="note bad">The card was refused. You can try again.</p>',
    "left": '<p class="note">You walked away without paying. Nobody is told; the page stays open until its time is'
    " over.</p>",
}
_ENDS = {
    "paid": '<p class="note">Paid. You can close this page.</p>',
    "failed": '<p class="note bad">The payment was declined. This page is closed.</p>',
    "expired": '<p class="note bad">This page has expired. Nothing was paid.</p>',
}


class PayPage:
    """The handlers under /pay/. Whoever has a page's address may use it, as with any provider's."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [web.get("/pay/{session_id}", self._show), web.post("/pay/{session_id}", self._act)]

    async def _show(self, request: web.Request) -> web.Response:
        session = self._session(request)
        note = _NOTES.get(request.query.get("note", ""), "") if session["state"] == "open" else ""
        return web.Response(text=render(session, note), content_type="text/html", headers=_HEADERS)

    async def _act(self, request: web.Request) -> web.Response:
        session_id = str(self._session(request)["session_id"])
        action = (await request.post()).get("action")
        note = ""
        if action == "pay":
            self._sessions.pay(session_id)
        elif action == "refuse":
            self._sessions.refuse_attempt(session_id)
            note = "?note=refused"
        elif action == "decline":
            self._sessions.decline(session_id)
        elif action == "walk_away":
            note = "?note=left"
        else:
            raise web.HTTPBadRequest(text="the form has no such button")
        # So that reloading the page does not repeat the click.
        raise web.HTTPSeeOther(f"/pay/{session_id}{note}")

    def _session(self, request: web.Request) -> Row:
        session = self._sessions.find(request.match_info["session_id"])
        if session is None:
            raise web.HTTPNotFound(text="there is no such pay page")
        return session


def render(session: Row, note: str) -> str:
    """The whole page for a session; `note` is HTML of our own."""
    amount = format_amount(session["amount_minor"], session["currency"])
    body = _ENDS.get(session["state"])
    if body is None:
        closes = escape(session["expire_time"][:19].replace("T", " "))
        body = f'{note}{_BUTTONS}<p class="small">Open until {closes} UTC</p>'
    return _PAGE.substitute(
        title=escape(f"Pay {amount}"),
        state=escape(session["state"]),
        amount=escape(amount),
        order_id=escape(session["order_id"]),
        body=body,
    )
