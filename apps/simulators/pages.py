"""Pages of the simulators, for people who try the demo."""

HTML = "text/html; charset=utf-8"


def frame(title: str, body: str) -> str:
    """Return a whole page. Both are HTML already."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>:root{{color-scheme:light dark}}"
        "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "td,th{padding:.25rem 1rem .25rem 0;text-align:left;overflow-wrap:anywhere}"
        "pre{white-space:pre-wrap;overflow-wrap:anywhere}</style></head>"
        f"<body><h1>{title}</h1>{body}</body></html>"
    )
