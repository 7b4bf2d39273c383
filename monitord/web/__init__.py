"""The page: what the daemon holds, for a browser, and the same as JSON. Loaded only while it is on."""

from monitord.imports import defer, import_parts, without

# Both are for who develops with them: starlette's error pages (with the names of all characters in HTML, half a
# megabyte), and uvicorn's own log. The third is for the words of a status.
defer("html", "logging.config", "http.client")
# Of uvicorn what serves in a loop that runs: its command line and its supervisors of processes are 2 MB. Forms here are
# urlencoded, and apps are ASGI.
with without("a2wsgi", "multipart", "python_multipart"):
    import_parts("uvicorn.config:Config", "uvicorn.server", "uvicorn.protocols.http.h11_impl")
    import starlette.requests  # noqa: F401 - of several modules here
