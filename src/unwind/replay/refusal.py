"""Why a replay does not begin. Whoever raises this has written nothing."""


class ReplayRefused(Exception):
    """The message says in both languages what is wrong and, where a row is at fault, which one (the header is row 1)."""

    def __init__(self, zh: str, en: str, *, row: int | None = None) -> None:
        at_zh, at_en = (f"第 {row} 行:", f"row {row}: ") if row is not None else ("", "")
        super().__init__(f"{at_zh}{zh} / {at_en}{en}")
        self.row = row
