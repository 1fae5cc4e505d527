from __future__ import annotations

from extproc import Exchange, Filter


class Misspelled(Filter):
    def on_request_header(self, exchange: Exchange) -> None:
        pass
