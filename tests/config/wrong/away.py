from __future__ import annotations

raise RuntimeError("the database\nis away")
