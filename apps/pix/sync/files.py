"""Why a file is not one of CIDs. Apart from the comparison, whose arrays not everybody needs."""


class FileRefused(Exception):
    """The file is not what the directory has. `code`: file_invalid, file_duplicates,
    file_corrupt."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail
